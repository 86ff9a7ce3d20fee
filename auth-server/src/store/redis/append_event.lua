-- Puts an event on the feed. KEYS: sequence, events. ARGV: event, when it is forgotten, now
local seq = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], seq, seq .. ' ' .. ARGV[2] .. ' ' .. ARGV[1])
while true do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest or tonumber(string.match(oldest, '^%d+ (%d+)')) > tonumber(ARGV[3]) then break end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, 0)
end
return seq
