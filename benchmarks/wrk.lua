-- What to send comes from the environment; the figures go out as one line of JSON.
local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

wrk.method = os.getenv("BENCH_METHOD")
if os.getenv("BENCH_BODY") then wrk.body = slurp(os.getenv("BENCH_BODY")) end
for name, value in string.gmatch(os.getenv("BENCH_HEADERS") or "", "([^\n:]+): ([^\n]*)") do
  wrk.headers[name] = value
end

-- Each call with another amount, in runs of 50: as agents do, which seldom make the same call twice.
if os.getenv("BENCH_RUNS") then
  local number, started, body = 0, os.time(), wrk.body
  function request()
    number = number + 1
    wrk.headers["x-run-id"] = string.format("run-%d-%d", started, math.floor(number / 50))
    return wrk.format(nil, nil, nil, (body:gsub("120%.5", string.format("120.%07d", number))))
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
