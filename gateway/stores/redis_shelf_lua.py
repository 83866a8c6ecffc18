"""How a shelf is kept inside Redis or Valkey, and what all of its scripts begin with.

The keys of a namespace, all in one hash slot: its ``head``; of each name the ``newest`` version; ``former`` ones by
``REVISION NAME``; of each name the ``chain`` of those (whether earlier ones were lost; revision, size and end of each);
``names`` in order; the ``feed`` by revision; what is ``due`` to expire; what is ``past``, by the revision since when;
how many names each of the ``owners`` has; ``marks`` of the last commits, so that one whose answer was lost with the
connection can be asked for again, and is done once.

A head knows the ``life`` of the server that it was written by. Another server, be it the same after a restart, may have
lost what was written last: its first commit begins a new epoch, so that no revision is ever given twice in one.
"""

from __future__ import annotations

PARTS = ("head", "newest", "former", "chain", "names", "feed", "due", "past", "owners", "marks")
AT_ONCE = 200
"""Names that expire in one run of a script at most: others must not wait long."""

COMMON = f"""
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
