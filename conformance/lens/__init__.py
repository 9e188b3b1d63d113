"""The same bytes as clients see them: the referee, httpx-sse, a browser, Node, and a client of ten lines.

What a client sees otherwise than the standard says is explained by the written list of deviations
(`schemas/deviations.json`), or said to be on no list. It is a note on the server, never a failure of it.
"""
