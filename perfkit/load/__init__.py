"""Load: when requests come due, how they travel, and one row for each of them.

spec        what one generator process is asked to do (JSON file)
arrivals    when: pure schedules of requests and of users, from the start of load
segments    the level over time: straight pieces, waves, bursts
draws       keyed random draws: functions of the plan, never of arrival order
demand      the next instant that comes due, open or closed model
opening     when users' connections are opened, ahead of need
pacer       wakes the loop at an instant, to some ten microseconds
exchange    one request and its reply, as plain slots
connection  HTTP/1.1 on one socket (asyncio protocol, httptools)
pool        keep-alive connections up to a limit, with a first-come queue
transport   the same, behind httpx's API; stock: httpx's own, for TLS and proxies
frame       the frame of both senders: taking up what is due, ending in order, progress
generator   demand -> pool -> ledger
journey     demand -> iterations of user code, or of a template, by what follows
client      the httpx client that user code gets; context: what else it gets
wire        calls of clients -> transport, rows, names, ids of jobs
happenings  iterations, checks and own values of user code, which outlive a killed process
usercode    somebody's coroutine function, by name; probe: whether it can be imported
watchdog    notices user code that keeps the event loop
ledger      rows in a file-backed memory map: they outlive a killed process
rows        ledger -> requests.arrow and generator.json
loops       the event loop they run on
bare        a server that does next to nothing, to calibrate against
process     one generator in a process of its own: signals, lifeline, progress
shards      one load for several of them, and their rows as one table
"""
