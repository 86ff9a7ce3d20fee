-- Reads the feed. KEYS: sequence, events, epoch. ARGV: after, an epoch if there is none yet
redis.call('SET', KEYS[3], ARGV[2], 'NX')
return {redis.call('GET', KEYS[3]), redis.call('GET', KEYS[1]) or '0',
  redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, 100000)}
