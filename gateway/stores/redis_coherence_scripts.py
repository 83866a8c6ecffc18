"""What Redis does in one step for ``redis_coherence.py``.

Of all memories together: a hash of how keys stand (``edition changed newest-change writer until json``; ``changed`` is
the edition in which the newest change or the writer came), a sorted set of when each was used last, and a head with the
number of steps so far, and what that was when something was forgotten last. Of each run: a hash of what it has seen.
"""

from __future__ import annotations

from gateway.stores.redis_scripts import script

LOOK = script(
    """
local head = redis.call('HMGET', KEYS[3], 'edition', 'forgot')
local spilt = table.concat(redis.call('SMEMBERS', KEYS[5]), '\\n')
local found = {tonumber(head[1] or '0'), tonumber(head[2] or '0'), spilt}
for i = 2, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if kept ~= '' then redis.call('ZADD', KEYS[2], 'GT', ARGV[1], ARGV[i]) end
  found[#found + 1] = kept
  found[#found + 1] = redis.call('HGET', KEYS[4], ARGV[i]) or ''
  if ARGV[i + 1] == '1' then redis.call('HDEL', KEYS[4], ARGV[i]) end
end
return found
"""
)
"""Keys: standings, uses, head, what a run has seen, labels of what was forgotten. Arguments: now, and fields, each with
whether the run reads it anew: then it has seen nothing of it until that read has ended. Gives edition, when something
was forgotten, those labels (a line each), and of each field how it stands and what the run has seen of it."""

STEP = script(
    """
local most, seconds, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local at = 5
for i = 0, count - 1 do
  local kept = redis.call('HGET', KEYS[1], ARGV[at + 6 * i]) or '0 '
  if string.match(kept, '^%S+') ~= ARGV[at + 6 * i + 1] then return 0 end
end
local first = 1
for i = 0, count - 1 do
  local field, same, uses, value, seen = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local edition = redis.call('HINCRBY', KEYS[3], 'edition', 1)
  if i == 0 then first = edition end
  local changed = edition
  if same == '1' then changed = string.match(redis.call('HGET', KEYS[1], field), '^%S+ (%S+)') end
  if value == '' then
    redis.call('HDEL', KEYS[1], field)
    redis.call('ZREM', KEYS[2], field)
  else
    redis.call('HSET', KEYS[1], field, edition .. ' ' .. changed .. ' ' .. value)
    redis.call('ZADD', KEYS[2], uses, field)
  end
  if seen == '-' then
    redis.call('HDEL', KEYS[4], field)
  elseif seen ~= '' then
    redis.call('HSET', KEYS[4], field, seen)
    redis.call('EXPIRE', KEYS[4], seconds)
    if redis.call('HLEN', KEYS[4]) > 1000 then redis.call('HDEL', KEYS[4], redis.call('HRANDFIELD', KEYS[4])) end
  end
  at = at + 6
end
local over = redis.call('ZCARD', KEYS[2]) - most
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', tonumber(ARGV[1]) - seconds, 'LIMIT', 0, 20)
if over > 0 then
  for _, field in ipairs(redis.call('ZRANGE', KEYS[2], 0, math.min(over, 100) - 1)) do old[#old + 1] = field end
end
for _, field in ipairs(old) do
  local stands = string.match(redis.call('HGET', KEYS[1], field) or '', '^%S+ %S+ %S+ %S+ %S+ (.*)$')
  if stands and string.find(stands, '"labels":["', 1, true) then
    local changes = cjson.decode(stands)['changes']
    for _, label in ipairs(changes[#changes]['labels'] or {}) do redis.call('SADD', KEYS[5], label) end
    redis.call('EXPIRE', KEYS[5], 30 * seconds)
  end
end
if #old > 0 then
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
  redis.call('HSET', KEYS[3], 'forgot', redis.call('HINCRBY', KEYS[3], 'edition', 1))
end
return first
"""
)
"""Keys: as for LOOK. Arguments: now, most keys, seconds after which what nobody uses is forgotten, how many fields, and
of each: the field, the edition that was seen (0: none), whether it is still the same change and writer, its last use,
how it stands (from the newest change on; empty: nothing is left), what the run has seen of it (empty: as before; ``-``:
nothing). All or nothing: the edition of the first of them, others follow; or 0 where another was faster."""

DRIFT = script(
    """
local found = {}
local seen = redis.call('HGETALL', KEYS[2])
for i = 1, #seen, 2 do
  local kept = redis.call('HGET', KEYS[1], seen[i]) or ''
  found[#found + 1] = seen[i + 1]
  found[#found + 1] = string.match(kept, '^%S+ %S+ (%S+ %S+ %S+) ') or ''
end
return found
"""
)
"""Keys: standings, what a run has seen. Gives of each what was seen, and newest change, writer, and until when that
counts."""
