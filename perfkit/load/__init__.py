"""Load: when requests come due, how they travel, and one row for each of them.

spec        what one generator process is asked to do (JSON file)
arrivals    when: pure schedules of requests and of users, from the start of load
draws       keyed random draws: functions of the plan, never of arrival order
demand      the next instant that comes due, open or closed model
opening     when users' connections are opened, ahead of need
pacer       wakes the loop at an instant, to some ten microseconds
exchange    one request and its reply, as plain slots
connection  HTTP/1.1 on one socket (asyncio protocol, httptools)
pool        keep-alive connections up to a limit, with a first-come queue
transport   the same, behind httpx's API
generator   demand -> pool -> ledger
ledger      rows in a file-backed memory map: they outlive a killed process
rows        ledger -> requests.arrow and generator.json
process     one generator in a process of its own: signals, lifeline, progress
"""
