"""What a shelf runs inside Redis or Valkey, each script in one step.

The keys of a namespace, all in one hash slot: its ``head``; of each name the ``newest`` version; ``former`` ones by
``REVISION NAME``; of each name the ``chain`` of those (whether earlier ones were lost; revision, size and end of each);
``names`` in order; the ``feed`` by revision; what is ``due`` to expire; what is ``past``, by the revision since when;
how many names each of the ``owners`` has; ``marks`` of the last commits, so that one whose answer was lost with the
connection can be asked for again, and is done once.

A head knows the ``life`` of the server that it was written by. Another server, be it the same after a restart, may have
lost what was written last: its first commit begins a new epoch, so that no revision is ever given twice in one.
"""

from __future__ import annotations

from gateway.stores.redis_scripts import script
from gateway.stores.shelf_rules import MOST_FORGOTTEN

PARTS = ("head", "newest", "former", "chain", "names", "feed", "due", "past", "owners", "marks")
AT_ONCE = 200
"""Names that expire in one run of a script at most: others must not wait long."""
MOST_MARKS = 1_000

_COMMON = f"""
local head, newest, former, chains, names, feed, due, past, owners, marks = unpack(KEYS)
local H = {{}}
local function whole(number) return string.format('%.0f', number) end
local function real(number) return string.format('%.17g', number) end
local function member(revision, name) return string.format('%016.0f ', revision) .. name end
local function read_head()
  local kept = redis.call('HMGET', head, 'epoch', 'life', 'revision', 'floor', 'clock', 'live', 'size', 'former')
  H.epoch, H.life = kept[1] or '', kept[2] or ''
  for i, each in ipairs({{'revision', 'floor', 'clock', 'live', 'size', 'former'}}) do
    H[each] = tonumber(kept[i + 2] or '0')
  end
  return kept[1]
end
local function keep_head()
  redis.call('HSET', head, 'epoch', H.epoch, 'life', H.life, 'revision', whole(H.revision), 'floor', whole(H.floor),
    'clock', real(H.clock), 'live', whole(H.live), 'size', whole(H.size), 'former', whole(H.former))
end
local function parse(record)
  local v = {{}}
  local owner, by
  v.revision, v.written, v.created, v.ends, v.size, v.live, v.kind, owner, by, v.at =
    string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ()')
  v.revision, v.size, v.live = tonumber(v.revision), tonumber(v.size), v.live == '1'
  v.owner = string.sub(record, v.at, v.at + tonumber(owner) - 1)
  return v
end
local function chain_of(name)
  local kept = redis.call('HGET', chains, name)
  local chain = {{lost = kept and string.sub(kept, 1, 1) == '1'}}
  for revision, size, ended in string.gmatch(kept or '', ';(%S-):(%S-):([^;]+)') do
    chain[#chain + 1] = {{revision = tonumber(revision), size = tonumber(size), ended = ended}}
  end
  return chain
end
local function keep_chain(name, chain)
  if #chain == 0 and not chain.lost then redis.call('HDEL', chains, name) return end
  local kept = {{chain.lost and '1' or '0'}}
  for i, v in ipairs(chain) do kept[i + 1] = whole(v.revision) .. ':' .. whole(v.size) .. ':' .. v.ended end
  redis.call('HSET', chains, name, table.concat(kept, ';'))
end
local function write(name, v, by, value)
  local kept, owner = redis.call('HGET', newest, name), v.agent
  v.created = v.created or v.written
  if kept then
    local was = parse(kept)
    if was.live then
      v.created, owner = was.created, was.owner
      H.live, H.size, H.former = H.live - 1, H.size - was.size, H.former + was.size
      if redis.call('HINCRBY', owners, owner, -1) <= 0 then redis.call('HDEL', owners, owner) end
    end
    local chain = chain_of(name)
    chain[#chain + 1] = {{revision = was.revision, size = was.size, ended = v.written}}
    keep_chain(name, chain)
    redis.call('HSET', former, member(was.revision, name), kept)
    redis.call('ZADD', past, whole(H.revision), member(was.revision, name))
  else
    redis.call('ZADD', names, 0, name)
  end
  if v.live then
    H.live, H.size = H.live + 1, H.size + v.size
    redis.call('HINCRBY', owners, owner, 1)
  else
    H.former = H.former + v.size
    redis.call('ZADD', past, whole(H.revision), member(H.revision, name))
  end
  redis.call('HSET', newest, name, table.concat({{whole(H.revision), v.written, v.created, v.ends, whole(v.size),
    v.live and '1' or '0', v.kind, whole(#owner), whole(#by), ''}}, ' ') .. owner .. by .. value)
  redis.call('ZADD', feed, whole(H.revision), member(H.revision, name))
  if tonumber(v.ends) > 0 then redis.call('ZADD', due, v.ends, name) else redis.call('ZREM', due, name) end
end
local function expire(now)
  local list = redis.call('ZRANGEBYSCORE', due, '-inf', real(now), 'WITHSCORES', 'LIMIT', 0, {AT_ONCE})
  for i = 1, #list, 2 do
    local kind = parse(redis.call('HGET', newest, list[i])).kind
    H.revision, H.clock = H.revision + 1, math.max(tonumber(list[i + 1]), H.clock)
    write(list[i], {{written = real(H.clock), ends = '0', size = #list[i] + tonumber(ARGV[3]), live = false,
      kind = kind, agent = ''}}, ARGV[2], '')
  end
  if #list > 0 then keep_head() end
  return #list == 2 * {AT_ONCE}
end
local function forget(name, chain)
  local first = table.remove(chain, 1)
  if first then
    chain.lost = true
    H.former = H.former - first.size
    redis.call('HDEL', former, member(first.revision, name))
    keep_chain(name, chain)
  else
    first = parse(redis.call('HGET', newest, name))
    H.former, H.floor = H.former - first.size, math.max(H.floor, first.revision)
    redis.call('HDEL', newest, name)
    redis.call('HDEL', chains, name)
    redis.call('ZREM', names, name)
  end
  redis.call('ZREM', past, member(first.revision, name))
  redis.call('ZREM', feed, member(first.revision, name))
end
local function version(name, revision)
  local kept = redis.call('HGET', newest, name)
  if kept and parse(kept).revision == revision then return kept end
  return redis.call('HGET', former, member(revision, name))
end
local function seen(name, at)
  local kept = redis.call('HGET', newest, name)
  if at == '' then return kept and parse(kept).live and kept end
  at = tonumber(at)
  if not kept then return false end
  if parse(kept).revision > at then
    local chain = chain_of(name)
    for i = #chain, 1, -1 do
      if chain[i].revision <= at then
        kept = redis.call('HGET', former, member(chain[i].revision, name))
        return kept and parse(kept).live and kept
      end
    end
    return chain.lost and 'forgotten'
  end
  return parse(kept).live and kept
end
local function life_of_server()
  local server, link = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
  return (type(server) == 'string' and string.match(server, 'run_id:(%x+)') or '')
    .. (type(link) == 'string' and string.match(link, 'master_replid:(%x+)') or '')
end
local function outside(at) return at ~= '' and (tonumber(at) < H.floor or tonumber(at) > H.revision) end
read_head()
local now = math.max(tonumber(ARGV[1]), H.clock)
if expire(now) then return {{'more'}} end
"""
"""Arguments of all: now; nobody's provenance, and what a version counts as beside its parts."""

COMMIT = script(
    _COMMON,
    f"""
local epoch, mark, expected, agent, by, create = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local most_items, most_size, most_own = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local most_versions, most_age, checks = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local first_put, done = 16 + 2 * checks, redis.call('ZSCORE', marks, mark)
if done then
  local out = {{'done', H.epoch, done, '0'}}
  for i = first_put, #ARGV, 6 do
    local kept = version(ARGV[i], tonumber(done))
    if kept then
      out[4] = parse(kept).written
      out[#out + 1], out[#out + 2] = ARGV[i], parse(kept).created
    end
  end
  return out
end
local life = life_of_server()
if H.epoch ~= '' and H.life ~= life then
  H.epoch, H.life = epoch, life
  keep_head()
end
local stale, other = expected ~= '' and expected ~= H.epoch, {{'mismatch', H.epoch, whole(H.revision)}}
for i = 16, first_put - 1, 2 do
  local kept, stands = redis.call('HGET', newest, ARGV[i]), 0
  if kept then
    local v = parse(kept)
    if v.live then stands = v.revision end
  end
  local expect = tonumber(ARGV[i + 1])
  if stands ~= expect or (stale and expect > 0) then
    other[#other + 1], other[#other + 2] = ARGV[i], kept or ''
  end
end
if #other > 3 then return other end
local puts, items, size, own = {{}}, H.live, H.size, 0
for i = first_put, #ARGV, 6 do
  local kept = redis.call('HGET', newest, ARGV[i])
  local was = kept and parse(kept)
  if was and not was.live then was = nil end
  local put = {{name = ARGV[i], live = ARGV[i + 1] == '1', kind = ARGV[i + 2], ttl = tonumber(ARGV[i + 3]),
    size = tonumber(ARGV[i + 4]), value = ARGV[i + 5]}}
  if was then
    items, size = items - 1, size - was.size
    if not put.live and was.owner == agent then own = own - 1 end
  end
  if put.live then
    items, size = items + 1, size + put.size
    if not was then own = own + 1 end
  end
  if put.live or was then puts[#puts + 1] = put end
end
if items > most_items and items > H.live then return {{'quota', 'items'}} end
if size > most_size and size > H.size then return {{'quota', 'size'}} end
if own > 0 and own + tonumber(redis.call('HGET', owners, agent) or '0') > most_own then
  return {{'quota', 'keys_per_agent'}}
end
if #puts > 0 then
  if H.epoch == '' then
    if create == '0' then return {{'new'}} end
    for _, each in ipairs(KEYS) do redis.call('DEL', each) end
    H.epoch, H.life = epoch, life
  end
  H.revision, H.clock = H.revision + 1, math.max(H.clock, now)
  redis.call('ZADD', marks, whole(H.revision), mark)
  redis.call('ZREMRANGEBYRANK', marks, 0, -{MOST_MARKS + 1})
end
local out = {{'done', H.epoch, whole(H.revision), real(now)}}
for _, put in ipairs(puts) do
  local v = {{written = real(now), ends = '0', size = put.size, live = put.live, kind = put.kind, agent = agent}}
  if put.live and put.ttl > 0 then v.ends = real(now + put.ttl) end
  write(put.name, v, by, put.value)
  out[#out + 1], out[#out + 2] = put.name, v.created
  local chain = chain_of(put.name)
  while #chain > most_versions do forget(put.name, chain) end
end
for i = 1, {MOST_FORGOTTEN} do
  local oldest = redis.call('ZRANGE', past, 0, 0)[1]
  if not oldest then break end
  local name = string.sub(oldest, 18)
  local chain = chain_of(name)
  local ended = chain[1] and chain[1].ended or parse(redis.call('HGET', newest, name)).written
  if H.former <= most_size and tonumber(ended) > now - most_age then break end
  forget(name, chain)
end
if H.epoch ~= '' then keep_head() end
return out
""",
)
"""Arguments: an epoch that nobody has had; a mark of this commit; the epoch that is expected (empty: whichever); agent,
provenance; whether the namespace may be created; most items, bytes, keys of the agent, former versions, seconds of the
past; how many expectations, of each name and revision; of each put name, whether there is a value, kind, seconds, size,
value. Gives ``done``, epoch, revision, now, name and creation of each that was written; ``mismatch``, epoch, revision,
name and record of each; ``quota`` and which; ``new`` where it is to be created; ``more``: run it again."""

GET = script(
    _COMMON,
    """
if outside(ARGV[5]) then return {'forgotten', whole(H.revision)} end
local kept = seen(ARGV[4], ARGV[5])
if kept == 'forgotten' then return {'forgotten', whole(H.revision)} end
return {'page', H.epoch, whole(H.revision), '0', kept and ARGV[4] or nil, kept or nil}
""",
)
"""Arguments: name, revision (empty: the newest). Gives ``page``, epoch, revision, whether there is more, and name and
record where there is one; ``forgotten`` and the revision; ``more``."""

SCAN = script(
    _COMMON,
    """
local limit, room, at = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
if outside(at) then return {'forgotten', whole(H.revision)} end
local out, cursor = {'page', H.epoch, whole(H.revision), '0'}, ''
local list = redis.call('ZRANGEBYLEX', names, ARGV[4], ARGV[5], 'LIMIT', 0, 1001)
for i, name in ipairs(list) do
  if i > 1000 or limit == 0 or room < 0 then
    out[4] = '1'
    break
  end
  local kept = seen(name, at)
  if kept == 'forgotten' then return {'forgotten', whole(H.revision)} end
  cursor = name
  if kept then
    out[#out + 1], out[#out + 2] = name, kept
    limit, room = limit - 1, room - #kept
  end
end
out[#out + 1] = cursor
return out
""",
)
"""Arguments: from and to which name (ZRANGEBYLEX), most items, most bytes, revision (empty: the newest). Gives a page
as GET does, and at its end the name to go on after where there may be more, be the page empty."""

HISTORY = script(
    _COMMON,
    """
local limit, room, kept = tonumber(ARGV[5]), tonumber(ARGV[6]), redis.call('HGET', newest, ARGV[4])
local out = {'page', H.epoch, whole(H.revision), '0', ARGV[4], kept}
if not kept then return {out[1], out[2], out[3], out[4]} end
local chain = chain_of(ARGV[4])
for i = #chain, 1, -1 do
  limit, room = limit - 1, room - #kept
  if limit <= 0 or room < 0 then out[4] = '1' break end
  kept = redis.call('HGET', former, member(chain[i].revision, ARGV[4]))
  out[#out + 1], out[#out + 2] = ARGV[4], kept
end
return out
""",
)
"""Arguments: name, most versions, most bytes. Gives a page."""

CHANGES = script(
    _COMMON,
    """
local after, limit, room, last = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ''
if after > H.revision or (after > 0 and after < H.floor) then return {'forgotten', whole(H.revision)} end
local out, from, count = {'page', H.epoch, whole(H.revision), '0'}, '(' .. whole(after), limit + 201
for _, each in ipairs(redis.call('ZRANGEBYSCORE', feed, from, '+inf', 'LIMIT', 0, count)) do
  local revision, name = string.sub(each, 1, 16), string.sub(each, 18)
  if (limit <= 0 or room < 0) and revision ~= last then
    out[4] = '1'
    break
  end
  local kept = version(name, tonumber(revision))
  out[#out + 1], out[#out + 2] = name, kept
  limit, room, last = limit - 1, room - #kept, revision
end
return out
""",
)
"""Arguments: revision, most items, most bytes; a revision has 200 at most. Gives a page."""

USAGE = script(
    _COMMON,
    "return {H.epoch, whole(H.revision), whole(H.live), whole(H.size), whole(H.former)}",
)
"""Gives epoch, revision, items, bytes that stand, bytes of what stood."""

STAGE = script(
    _COMMON,
    """
if H.epoch == '' then H.life = life_of_server() end
H.epoch, H.revision = ARGV[4], 1
for i = 5, #ARGV, 10 do
  local name = ARGV[i]
  if redis.call('HEXISTS', newest, name) == 1 then
    write(name, {written = '0', ends = '0', size = 0, live = false, kind = 'json', agent = ''}, '', '')
    local chain = chain_of(name)
    while #chain > 0 do forget(name, chain) end
    forget(name, chain)
  end
  if ARGV[i + 1] == '1' then
    write(name, {written = ARGV[i + 3], created = ARGV[i + 2], ends = ARGV[i + 4], size = tonumber(ARGV[i + 5]),
      live = true, kind = ARGV[i + 6], agent = ARGV[i + 7]}, ARGV[i + 8], ARGV[i + 9])
  end
end
keep_head()
for _, each in ipairs(KEYS) do redis.call('EXPIRE', each, 3600) end
return {}
""",
)
"""Keys: of what is nobody's yet, and ends by itself if it never is. Arguments, now being 0: its epoch; of each name
whether there is a value, when the name came to be, was written, expires, its size, kind, by whom, provenance, value."""

EXCHANGE = script(f"""
local parts = {len(PARTS)}
if redis.call('EXISTS', KEYS[parts + 1]) == 0 then return 0 end
for i = 1, parts do
  redis.call('UNLINK', KEYS[i])
  if redis.call('EXISTS', KEYS[parts + i]) == 1 then
    redis.call('RENAME', KEYS[parts + i], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  end
end
return 1
""")
"""Keys: of a namespace, and those that were staged. Gives 0 where these are not there any more."""
