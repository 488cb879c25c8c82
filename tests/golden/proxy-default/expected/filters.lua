-- Decides what the conditions of the frontend left open. An error in here decides nothing, and what is not decided is refused.
local reject_paths = {{true, {"/api/", "/pods/", "/exec"}, false, {403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: the pattern ^/api/.*/pods/.*/exec of --reject-paths fits this path\",\"reason\":\"Forbidden\",\"code\":403}"}}, {true, {"/api/", "/pods/", "/attach"}, false, {403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: the pattern ^/api/.*/pods/.*/attach of --reject-paths fits this path\",\"reason\":\"Forbidden\",\"code\":403}"}}}
local reject_methods = {{true, {}, true, {403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: the pattern ^$ of --reject-methods fits this method\",\"reason\":\"Forbidden\",\"code\":403}"}}}
local accept_paths = {{false, {}, false}}
local accept_hosts = {{true, {"localhost"}, true}, {true, {"127.0.0.1"}, true}, {true, {"[::1]"}, true}}
local no_path, no_host, bad_path = {403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: no pattern of --accept-paths fits this path\",\"reason\":\"Forbidden\",\"code\":403}"}, {403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: no pattern of --accept-hosts fits the host that this request names\",\"reason\":\"Forbidden\",\"code\":403}"}, {400, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: the path cannot be decoded: a percent sign is not followed by two hexadecimal digits\",\"reason\":\"BadRequest\",\"code\":400}"}
local templates = {
  ["400"] = {"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: ", "\",\"reason\":\"BadRequest\",\"code\":400}"},
  ["403"] = {"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"kubegate: ", "\",\"reason\":\"Forbidden\",\"code\":403}"},
}
local exact, disabled, guarded = true, false, false
local verdicts = Map.new("verdicts.map", Map._str)

-- The byte of each escape, in any mixture of upper and lower case.
local decoded = {}
for byte = 0, 255 do
  local high, low = string.format("%x", byte // 16), string.format("%x", byte % 16)
  for _, code in ipairs{high .. low, high:upper() .. low, high .. low:upper(), high:upper() .. low:upper()} do
    decoded[code] = string.char(byte)
  end
end

-- Whether a text has the parts of an entry, in their order. Texts have no line feed.
local function fits(entry, text)
  local parts, last, from = entry[2], #entry[2], 1
  if last == 0 then return not (entry[1] and entry[3]) or text == "" end
  for number = 1, last do
    local part = parts[number]
    if number == 1 and entry[1] then
      if text:sub(1, #part) ~= part then return false end
      if last == 1 and entry[3] then return #text == #part end
      from = #part + 1
    elseif number == last and entry[3] then
      return #text - #part + 1 >= from and text:sub(-#part) == part
    else
      local _, stop = text:find(part, from, true)
      if not stop then return false end
      from = stop + 1
    end
  end
  return true
end

local function first(list, text, other)
  for _, entry in ipairs(list) do
    if fits(entry, text) or (other and fits(entry, other)) then return entry end
  end
end

-- The host in the two forms that a plain name has; nothing for what has to be read with more care.
local function plain_host(header)
  local name = header:match("^([%w._-]*)$") or header:match("^([%w._-]*):%w*$")
  if name then return name, (name:lower():gsub("%.$", "")) end
end

-- What the pattern lists say: true, a refusal, or nothing where Python has to be asked.
local function by_lists(method, host, path)
  if not exact or path:find("[%c]") or path:find("//", 1, true) or path:find("/.", 1, true) then return nil end
  -- To kubectl's patterns the root is the empty text.
  local seen = path == "/" and "" or path
  local entry = first(reject_paths, path, seen)
  if entry then return entry[4] end
  entry = first(reject_methods, method)
  if entry then return entry[4] end
  if not first(accept_paths, seen) then return no_path end
  local name, normal = plain_host(host)
  if not name then return nil end
  return first(accept_hosts, name, normal) and true or no_host
end

-- A verdict as Python writes it: "allow", or a status and a message in JSON's quotes.
local function read(value)
  if value == "allow" then return true end
  local code, message = value:match('^(%d%d%d) "(.*)"$')
  local template = templates[code]
  if template then return {tonumber(code), template[1] .. message .. template[2]} end
end

local function ask(txn, method, host, raw)
  local query, upgrade, body = "", false, true
  if guarded then
    local headers = txn.http:req_get_headers()
    upgrade = headers["upgrade"] ~= nil
    if upgrade or (method ~= "GET" and method ~= "HEAD") then query = txn.f:query() or "" end
    local length, version = headers["content-length"], txn.f:req_ver()
    local framed = length or headers["transfer-encoding"]
    -- In HTTP/2 a body needs neither header.
    body = not ((length and length[0] == "0" and not length[1]) or (not framed and (version == "1.1" or version == "1.0")))
  end
  local words = (upgrade and "upgrade" or "") .. "," .. (body and "body" or "")
  local question = table.concat({method, host, raw, query, words}, "\n")
  local known = verdicts:lookup(txn.c:hex(txn.c:sha2(question, 256)))
  if known then return read(known) end
  local answer = core.httpclient():post{
    url = "http://decider/judge", dst = "unix@/run/proxy/ask.sock", timeout = 5000, body = question,
    headers = {["content-type"] = {"text/plain"}},
  }
  if answer and answer.status == 200 then return read(answer.body) end
end

local function judge(txn)
  local method, host, raw = txn.f:method(), txn:get_var("txn.host") or "", txn:get_var("txn.path") or ""
  local path = raw
  if raw:find("%", 1, true) then
    if raw:gsub("%%%x%x", ""):find("%", 1, true) then return bad_path end
    path = raw:gsub("%%(%x%x)", decoded)
  end
  if disabled then return true end
  local found = by_lists(method, host, path)
  if found == nil then return ask(txn, method, host, raw) end
  return found
end

core.register_action("kubegate_filter", {"http-req"}, function(txn)
  local found = judge(txn)
  if found == true then
    txn:set_var("txn.passes", true)
  elseif found then
    local reply = txn:reply()
    reply:set_status(found[1])
    reply:add_header("content-type", "application/json")
    reply:add_header("connection", "close")
    reply:set_body(found[2])
    txn:done(reply)
  end
end, 0)
