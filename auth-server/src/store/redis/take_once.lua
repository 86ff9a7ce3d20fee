-- Takes a ticket: 1 once, 0 ever after. KEYS: ticket. ARGV: when it is forgotten
return redis.call('SET', KEYS[1], '1', 'NX', 'PXAT', ARGV[1]) and 1 or 0
