-- Families of a person or client, those that live longest first. KEYS: index.
-- ARGV: how many, the last one of the page before (may be empty)
local from = 0
if ARGV[2] ~= '' then from = (redis.call('ZREVRANK', KEYS[1], ARGV[2]) or -1) + 1 end
return redis.call('ZREVRANGE', KEYS[1], from, from + ARGV[1] - 1)
