"""What runs inside Redis or Valkey (5.0 or newer), each script in one step. Amounts stay below 2^53, where Lua counts
exactly. Every key of one run of a script lies in one hash slot, so that a Cluster takes it too.

An account's window is a hash: ``account`` (JSON), ``leased`` by all, ``h:HOLDER`` by each, ``spent``, or, where the
window rolls, a ring of slots ``s0`` to ``s63`` that hold ``NUMBER:AMOUNT``.
"""

from __future__ import annotations

from hashlib import sha1

from msgspec import Struct

RING = 64
MOST_CALLS = 100_000
"""Ids of calls that an account's window remembers, so that none is settled twice."""
MOST_LINES = 10_000
"""Lines of the ledger that an account keeps."""


class Script(Struct, frozen=True):
    """A script and the digest that Redis knows it by."""

    text: str
    sha: str


def script(*parts: str) -> Script:
    """The script that these parts make."""
    text = "\n".join(parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_ACCOUNTS = f"""
local function whole(number) return string.format('%.0f', number) end
local function spent_of(key, first)
  if first == 0 then return tonumber(redis.call('HGET', key, 'spent') or '0'), -1 end
  local names, total, oldest = {{}}, 0, -1
  for i = 0, {RING - 1} do names[i + 1] = 's' .. i end
  for _, kept in ipairs(redis.call('HMGET', key, unpack(names))) do
    if kept then
      local slot, amount = string.match(kept, '^(%d+):(%d+)$')
      slot, amount = tonumber(slot), tonumber(amount)
      if slot >= first then total = total + amount end
      if slot >= first and amount > 0 and (oldest < 0 or slot < oldest) then oldest = slot end
    end
  end
  return total, oldest
end
local function spend(key, slot, first, amount)
  if first == 0 then redis.call('HINCRBY', key, 'spent', whole(amount)) return end
  local name = 's' .. whole(slot % {RING})
  local kept = redis.call('HGET', key, name)
  if kept then
    local known, before = string.match(kept, '^(%d+):(%d+)$')
    if tonumber(known) > slot then return end
    if tonumber(known) == slot then amount = amount + tonumber(before) end
  end
  redis.call('HSET', key, name, whole(slot) .. ':' .. whole(amount))
end
local function lower(key, holder, amount)
  local had = tonumber(redis.call('HGET', key, 'h:' .. holder) or '0')
  local less = math.min(had, amount)
  if less <= 0 then return 0 end
  redis.call('HINCRBY', key, 'leased', whole(-less))
  if less == had then redis.call('HDEL', key, 'h:' .. holder)
  else redis.call('HINCRBY', key, 'h:' .. holder, whole(-less)) end
  return less
end
local function keep(key, retires)
  if retires == '0' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, retires) end
end
"""

LEASE = script(
    _ACCOUNTS,
    """
local holder, out = ARGV[1], {}
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  local limit, least, wish = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local spent, oldest = spent_of(key, tonumber(ARGV[at + 4]))
  local leased = tonumber(redis.call('HGET', key, 'leased') or '0')
  local available, got = limit - spent - leased, 0
  if available > 0 and available >= least then
    got = math.min(available, math.max(least, math.min(wish, math.floor(available / 8))))
  end
  if got > 0 then
    redis.call('HINCRBY', key, 'leased', whole(got))
    redis.call('HINCRBY', key, 'h:' .. holder, whole(got))
  end
  redis.call('HSET', key, 'account', ARGV[at])
  keep(key, ARGV[at + 5])
  out[i] = {whole(got), whole(spent), whole(leased + got), whole(oldest)}
end
return out
""",
)
"""Keys: the windows. Arguments: the holder; for each window its account, limit, least, wish, first slot, end of key.
Gives of each what is granted, spent and leased, and the oldest slot with something spent; -1 where there is none."""

SETTLE = script(
    _ACCOUNTS,
    f"""
local holder, now = ARGV[1], ARGV[2]
for i = 1, #KEYS / 3 do
  local key, calls, ledger = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local at = 3 + (i - 1) * 6
  local call, spent = ARGV[at + 1], tonumber(ARGV[at + 2])
  if redis.call('ZADD', calls, 'NX', now, call) == 1 then
    redis.call('HSET', key, 'account', ARGV[at])
    spend(key, tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), spent)
    lower(key, holder, spent)
    redis.call('ZREMRANGEBYRANK', calls, 0, -{MOST_CALLS + 1})
    redis.call('XADD', ledger, 'MAXLEN', '~', {MOST_LINES}, '*', 'call', call, 'holder', holder, 'spent', whole(spent))
    for _, each in ipairs({{key, calls, ledger}}) do keep(each, ARGV[at + 5]) end
  end
end
return {{}}
""",
)
"""Keys: of each entry the window, its calls, its ledger. Arguments: the holder, now; for each entry its account, call,
amount, slot, first slot, end of keys."""

GIVE_BACK = script(
    _ACCOUNTS,
    """
for i, key in ipairs(KEYS) do lower(key, ARGV[1], tonumber(ARGV[1 + i])) end
return {}
""",
)
"""Keys: the windows. Arguments: the holder, the amounts."""

FORFEIT = script(
    _ACCOUNTS,
    f"""
local holder = ARGV[1]
local amount = lower(KEYS[1], holder, tonumber(redis.call('HGET', KEYS[1], 'h:' .. holder) or '0'))
if amount > 0 then
  spend(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), amount)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', {MOST_LINES}, '*', 'forfeited', whole(amount), 'holder', holder)
  keep(KEYS[2], ARGV[4])
end
return whole(amount)
""",
)
"""Keys: a window and its ledger. Arguments: the holder, slot, first slot, end of keys."""

DRAW = script("""
local time = redis.call('TIME')
local now, out = tonumber(time[1]) + tonumber(time[2]) / 1000000, {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  local capacity, rate = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local least, wish = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local full_at = math.max(now, tonumber(redis.call('GET', key) or '0'))
  local left, tokens, wait = capacity - (full_at - now) * rate, 0, 0
  if wish < 0 then
    full_at = math.max(now, full_at + wish / rate)
    left = capacity - (full_at - now) * rate
  elseif left + 1e-6 < least then
    wait = (least - left) / rate
  else
    tokens = math.min(wish, math.max(left, least))
    full_at = full_at + tokens / rate
    left = left - tokens
  end
  local life = math.ceil((full_at - now) * 1000) + 1000
  redis.call('SET', key, string.format('%.6f', full_at), 'PX', string.format('%.0f', life))
  out[i] = {string.format('%.9f', tokens), string.format('%.6f', math.max(0, left)), string.format('%.6f', wait)}
end
return out
""")
"""GCRA by the time of Redis. Keys: the buckets. Arguments: for each its capacity, rate, least, wish."""

TICK = script("""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZADD', KEYS[1], string.format('%.3f', now), ARGV[1])
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.3f', now - tonumber(ARGV[2])))
return {redis.call('ZCARD', KEYS[1]) - #dead, dead, redis.call('HGETALL', KEYS[2])}
""")
"""A sign of life, and what is new. Keys: holders, revisions. Arguments: the holder, seconds after which one is dead."""

POST = script("""
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
""")
"""Keys: the board of a kind, revisions. Arguments: kind, key, value."""

REMOVE = script("""
local kept = redis.call('HGET', KEYS[1], ARGV[2])
if not kept then return 0 end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
local ends = tonumber(string.match(kept, '^(%S+) '))
if ends > 0 and ends <= tonumber(ARGV[3]) then return 0 end
return 1
""")
"""Keys: the board of a kind, revisions. Arguments: kind, key, now."""

RESTORE = script("""
for i = 3, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
local now = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', math.max(now, tonumber(ARGV[2])) + 1))
return redis.status_reply('OK')
""")
"""Keys: the board of a kind, revisions. Arguments: kind, the revision that was known, keys and values."""

SWEEP = script("""
local kept, gone = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #kept, 2 do
  local ends = tonumber(string.match(kept[i + 1], '^(%S+) '))
  if ends and ends > 0 and ends < tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], kept[i])
    gone = gone + 1
  end
end
return gone
""")
"""Keys: the board of a kind. Arguments: now."""

_CABINET = """
local function whole(number) return string.format('%.0f', number) end
local function next_version()
  local generation = redis.call('HGET', KEYS[4], 'generation')
  if not generation then
    for i = 1, 3 do redis.call('DEL', KEYS[i]) end
    local time = redis.call('TIME')
    generation = whole(8796093022208 - tonumber(time[1]) * 1000 - math.floor(tonumber(time[2]) / 1000))
    redis.call('HSET', KEYS[4], 'generation', generation)
  end
  local number = redis.call('HINCRBY', KEYS[4], 'number', 1)
  return generation .. ':' .. whole(number), number
end
local function gone(key, number, forgotten)
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZADD', KEYS[2], whole(number), key)
  redis.call('ZADD', KEYS[3], forgotten, key)
end
local function sweep(now, forgotten)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1000)) do
    if redis.call('HEXISTS', KEYS[1], key) == 1 then
      local _, number = next_version()
      gone(key, number, forgotten)
    else
      redis.call('ZREM', KEYS[2], key)
      redis.call('ZREM', KEYS[3], key)
    end
  end
end
"""
"""2^43 thousandths of a second after the epoch is in the year 2248."""

SWAP = script(
    _CABINET,
    """
local key, seen, mark, life, now = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local kept, standing = redis.call('HGET', KEYS[1], key), '0'
if kept then
  local version, ends, by = string.match(kept, '^(%S+) (%S+) (%S+) ')
  if by == mark then return version end
  if tonumber(ends) == 0 or tonumber(ends) > tonumber(now) then standing = version end
end
if standing ~= seen then return '0' end
if ARGV[4] == '1' and not kept and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[8]) then
  sweep(now, ARGV[9])
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[8]) then return 'full' end
end
local version, number = next_version()
if ARGV[4] == '0' then gone(key, number, life) return version end
redis.call('HSET', KEYS[1], key, version .. ' ' .. life .. ' ' .. mark .. ' ' .. ARGV[5])
redis.call('ZADD', KEYS[2], whole(number), key)
if tonumber(life) > 0 then redis.call('ZADD', KEYS[3], life, key) else redis.call('ZREM', KEYS[3], key) end
return version
""",
)
"""Compare and set. Keys: documents of a kind, their changes, their ends, their head. Arguments: key, the version that
was seen, a mark of this write, whether there is a value, the value, its end, now, most documents, when those that have
ended are forgotten. Gives the new version, 0 or ``full``."""

CHANGES = script(
    _CABINET,
    f"""
local after, room = tonumber(ARGV[2]), {1 << 20}
sweep(ARGV[3], ARGV[5])
local generation, number = unpack(redis.call('HMGET', KEYS[4], 'generation', 'number'))
if not generation then return {{1, 0, '0', {{}}}} end
local lost, rows, last = 0, {{}}, 0
if generation ~= ARGV[1] or tonumber(number) < after then lost, after = 1, 0 end
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(after), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #changed, 2 do
  local kept = redis.call('HGET', KEYS[1], changed[i]) or ''
  for _, each in ipairs({{changed[i], generation .. ':' .. changed[i + 1], kept}}) do rows[#rows + 1] = each end
  last, room = changed[i + 1], room - #kept
  if room < 0 then return {{lost, 1, generation .. ':' .. last, rows}} end
end
if #changed == 2 * tonumber(ARGV[4]) then return {{lost, 1, generation .. ':' .. last, rows}} end
return {{lost, 0, generation .. ':' .. number, rows}}
""",
)
"""Keys: as for SWAP. Arguments: generation and number of the change from which to tell, now, most rows, when those that
have ended are forgotten. Gives whether what was known is lost, whether there is more, the change from which to ask
next, and of each document key, version and what is kept (empty where it is gone)."""
