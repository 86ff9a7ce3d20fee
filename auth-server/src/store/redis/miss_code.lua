-- Counts a wrong verifier of a code that was not redeemed. KEYS: code. ARGV: how many burn it
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'u') == 1 then return 0 end
local misses = redis.call('HINCRBY', KEYS[1], 'm', 1)
if misses >= tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
return misses
