"""The studio: the three steps on one page, in a browser.

    with serve_studio(Path("bots"), Settings()) as studio:
        print(studio.url)

The page asks the same functions as the command line. What takes long runs in a worker process
that writes how far it is into a folder (`jobs`), so a closed tab loses nothing; `foreman` lets one
worker of a kind run at a time; `rights` knows who brought which posts; `guard` is what every
request passes first.
"""
