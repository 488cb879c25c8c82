-- An answer 401 waits until Python has tried to renew the credential of its context, and then goes on as it is.
local asked = {dst = "unix@/run/proxy/ask.sock", timeout = 25000}

core.register_action("unauthorized", {"http-res"}, function(txn, key)
  local client = core.httpclient()
  client:post{
    url = "http://kubegate/unauthorized",
    dst = asked.dst,
    timeout = asked.timeout,
    headers = {["content-type"] = {"application/json"}},
    body = '{"cluster":"' .. key .. '"}',
  }
end, 1)
