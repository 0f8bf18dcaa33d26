//! A Redis key that refuses a smaller fence: compared and written in one script, so nobody comes
//! in between. Fences fit the 53 bits of Lua's numbers.

use redis::RedisError;
use tenure::Fence;

const WRITE: &str = "
    if tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) > tonumber(ARGV[1]) then
        return 0
    end
    redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'body', ARGV[2])
    return 1";

/// Whether the key took it.
pub(crate) async fn write(server: &str, fence: Fence, body: &str) -> Result<bool, RedisError> {
    let mut link = redis::Client::open(server)?.get_multiplexed_async_connection().await?;
    let mut eval = redis::cmd("EVAL");
    eval.arg(WRITE).arg(1).arg("example:report").arg(fence.get()).arg(body);
    eval.query_async(&mut link).await
}
