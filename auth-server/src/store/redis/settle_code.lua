-- Ends a try to redeem a code: settled, or free for the next. KEYS: code. ARGV: settled|free
if redis.call('HGET', KEYS[1], 's') == 'held' then redis.call('HSET', KEYS[1], 's', ARGV[1]) end
return 1
