-- Takes up to ARGV[3] requests from a budget, as the generic cell rate algorithm does. The state is
-- the moment at which the budget will be full again, in microseconds.
-- ARGV: microseconds per request, burst, how many are wanted.
-- Answers: how many were taken, how many are left, microseconds until there is one.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local step, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
-- A clock that was set back must not shut a budget for longer than it takes to fill.
full = math.min(full, now + burst * step)
local room = math.floor((now + burst * step - full) / step + 0.000001)
local taken = math.min(room, wanted)
if taken > 0 then
  full = full + taken * step
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
end
local left = room - taken
local wait = 0
if left < 1 then
  wait = math.max(1, math.ceil(full + step - burst * step - now))
end
return { taken, left, wait }
