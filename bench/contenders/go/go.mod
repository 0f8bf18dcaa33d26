module adapter

go 1.22

require (
	github.com/go-redsync/redsync/v4 v4.13.0
	github.com/redis/go-redis/v9 v9.7.3
	github.com/redis/rueidis v1.0.59
	github.com/redis/rueidis/rueidislock v1.0.59
)
