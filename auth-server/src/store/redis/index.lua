-- Notes a family of a person and client; repeating it is harmless. KEYS: indexes.
-- ARGV: family, when it is forgotten, now
for _, index in ipairs(KEYS) do
  redis.call('ZADD', index, ARGV[2], ARGV[1])
  redis.call('ZREMRANGEBYSCORE', index, '-inf', ARGV[3])
  redis.call('PEXPIREAT', index, redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2])
end
return 1
