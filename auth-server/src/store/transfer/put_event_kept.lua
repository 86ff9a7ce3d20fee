-- Puts an event on the feed as it was. KEYS: sequence, events. ARGV: event, when it is forgotten
local seq = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], seq, seq .. ' ' .. ARGV[2] .. ' ' .. ARGV[1])
return seq
