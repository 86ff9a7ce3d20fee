-- Writes a family as it was. KEYS: family. ARGV: when it is forgotten, the family
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[1])
return 1
