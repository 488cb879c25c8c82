"""The Lua of the filters: an exact look at what the conditions left open, or a question to Python.

Nothing in it is a pattern of a person: `find` is called with `plain`, on strings that were read here (`model.patterns`).
"""

from kubegate.model import refusals
from kubegate.model.filters import Filters
from kubegate.model.patterns import Pattern
from kubegate.model.refusals import Refusal
from kubegate.render.status_text import status_json

VERDICTS_FILE = "verdicts.map"

ASK_MILLISECONDS = 5000

_MESSAGE = "@message@"
_ESCAPED = {ord('"'): '\\"', ord("\\"): "\\\\"}


def script(filters: Filters, ask_socket: str) -> str:
    """The file's text. `ask_socket` is the path of the decider's unix socket."""
    return _TEXT.format(
        tables=_tables(filters),
        no_path=_refusal(refusals.NO_PATH),
        no_host=_refusal(refusals.NO_HOST),
        bad_path=_refusal(refusals.BAD_PATH),
        templates="\n".join(f"  [{string(code)}] = {_template(code)}," for code in ("400", "403")),
        exact=_boolean(_exact(filters)),
        disabled=_boolean(filters.disabled and not filters.guarded),
        guarded=_boolean(filters.guarded),
        verdicts=string(VERDICTS_FILE),
        socket=string(f"unix@{ask_socket}"),
        milliseconds=ASK_MILLISECONDS,
    )


def string(text: str) -> str:
    """A text as a Lua string; bytes that are not printable ASCII by their numbers."""
    return '"' + "".join(_ESCAPED.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03d}") for b in text.encode()) + '"'


def _exact(filters: Filters) -> bool:
    """Whether plain strings say everything."""
    lists = (filters.accept_hosts, filters.accept_paths, filters.reject_paths, filters.reject_methods)
    return not filters.guarded and all(one.sequence is not None for patterns in lists for one in patterns)


def _tables(filters: Filters) -> str:
    rejecting = {
        "reject_paths": [(one, refusals.rejected_path(one)) for one in filters.reject_paths],
        "reject_methods": [(one, refusals.rejected_method(one)) for one in filters.reject_methods],
    }
    accepting = {"accept_paths": filters.accept_paths, "accept_hosts": filters.accept_hosts}
    tables = {name: [_entry(one, refusal) for one, refusal in entries] for name, entries in rejecting.items()}
    tables |= {name: [_entry(one) for one in patterns] for name, patterns in accepting.items()}
    return "\n".join(f"local {name} = {{{', '.join(entries)}}}" for name, entries in tables.items())


def _entry(pattern: Pattern, refusal: Refusal | None = None) -> str:
    """One pattern. What RE2 has to decide has no entry of its own: nothing is looked at here then."""
    if pattern.sequence is None:
        return "false"
    parts = ", ".join(string(part) for part in pattern.sequence.parts)
    said = f", {_refusal(refusal)}" if refusal else ""
    return f"{{{_boolean(pattern.sequence.begins)}, {{{parts}}}, {_boolean(pattern.sequence.ends)}{said}}}"


def _refusal(refusal: Refusal) -> str:
    return f"{{{refusal.status}, {string(status_json(refusal.status, refusal.message))}}}"


def _template(code: str) -> str:
    """A Status in two pieces, between which a message stands as JSON has it."""
    before, _, after = status_json(int(code), _MESSAGE).partition(_MESSAGE)
    return f"{{{string(before)}, {string(after)}}}"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


_TEXT = """\
-- Decides what the conditions of the frontend left open. An error in here decides nothing, and what is not decided is refused.
{tables}
local no_path, no_host, bad_path = {no_path}, {no_host}, {bad_path}
local templates = {{
{templates}
}}
local exact, disabled, guarded = {exact}, {disabled}, {guarded}
local verdicts = Map.new({verdicts}, Map._str)

-- The byte of each escape, in any mixture of upper and lower case.
local decoded = {{}}
for byte = 0, 255 do
  local high, low = string.format("%x", byte // 16), string.format("%x", byte % 16)
  for _, code in ipairs{{high .. low, high:upper() .. low, high .. low:upper(), high:upper() .. low:upper()}} do
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
  if template then return {{tonumber(code), template[1] .. message .. template[2]}} end
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
  local question = table.concat({{method, host, raw, query, words}}, "\\n")
  local known = verdicts:lookup(txn.c:hex(txn.c:sha2(question, 256)))
  if known then return read(known) end
  local answer = core.httpclient():post{{
    url = "http://decider/judge", dst = {socket}, timeout = {milliseconds}, body = question,
    headers = {{["content-type"] = {{"text/plain"}}}},
  }}
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

core.register_action("kubegate_filter", {{"http-req"}}, function(txn)
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
"""
