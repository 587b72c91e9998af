"""The same core under a virtual clock: worlds with hidden quotas, policies that serve them, and how close each comes.

``scenario`` reads a scenario, ``world`` makes it hidden truth, ``running`` lets a policy serve it, ``optimum`` bounds what
anybody could have served, ``result`` adds up. Refuses: the engine, HTTP, the machine's clock, threads.
"""
