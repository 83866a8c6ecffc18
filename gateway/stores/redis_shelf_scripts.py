"""What a shelf runs inside Redis or Valkey, each script in one step; how it is kept is in ``redis_shelf_lua.py``."""

from __future__ import annotations

from gateway.stores.redis_scripts import script
from gateway.stores.redis_shelf_lua import COMMON, PARTS
from gateway.stores.shelf_rules import MOST_FORGOTTEN

MOST_MARKS = 1_000
"""Commits that a namespace remembers, so that one is not done twice."""

COMMIT = script(
    COMMON,
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
    COMMON,
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
    COMMON,
    """
local limit, room, at = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
if outside(at) then return {'forgotten', whole(H.revision)} end
local out, cursor = {'page', H.epoch, whole(H.revision), '0'}, ''
local most = math.min(1000, limit + 100)
local list = redis.call('ZRANGEBYLEX', names, ARGV[4], ARGV[5], 'LIMIT', 0, most + 1)
for i, name in ipairs(list) do
  if i > most or limit == 0 or room < 0 then
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
    COMMON,
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
    COMMON,
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
    COMMON,
    "return {H.epoch, whole(H.revision), whole(H.live), whole(H.size), whole(H.former)}",
)
"""Gives epoch, revision, items, bytes that stand, bytes of what stood."""

STAGE = script(
    COMMON,
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
