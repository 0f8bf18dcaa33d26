"""Modules that take the place of other lock libraries: change one import.

`tenure.compat.redis` stands in for redis-py's ``Lock``, `tenure.compat.distributed_lock` for the
asyncio class of that name, and `tenure.compat.redis_lock_guide` for the functions of the guides.
Each takes the program's own redis-py client, reads from it which server it is for, and locks there
by Tenure. The value of the key is the token alone, so programs that still have the old code are
excluded, and exclude, on the same key.
"""
