"""PostgreSQL and OpenBao from their wheels, for `imrs dev` and the tests.

Both keep everything in one folder, listen on 127.0.0.1 only, find their data again at the next start and end
with the process that started them, even when that one is killed.
"""
