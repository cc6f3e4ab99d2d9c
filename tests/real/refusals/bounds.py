"""The bounds of the audit trail, as the controllers have them (controller/daemon/refused.h,
controller/http/refusals.h): a row that is to leave an entry waits until there is room."""
import time

KNOWN = (5, 1.0)     # at once, and one each so many seconds
UNKNOWN = (10, 60.0)
SAME_S = 1.0         # of one address, user and reason
MARGIN_S = 0.06


class Bucket:
    def __init__(self, burst, each_s):
        self.burst, self.each_s = burst, each_s
        self.used, self.at = 0, time.monotonic()

    def take(self):
        """Waits for room. The other side gives back whole ones only, counted from what it
        took first; so do we, and a little later."""
        while True:
            now = time.monotonic()
            back = int((now - self.at) / (self.each_s + MARGIN_S / 4))
            if back >= self.used:
                self.used, self.at = 0, now
            else:
                self.used -= back
                self.at += back * (self.each_s + MARGIN_S / 4)
            if self.used < self.burst:
                self.used += 1
                return
            time.sleep(min(0.2, self.at + self.each_s + MARGIN_S - now))


class Pace:
    """wait() before a row, note() behind it."""

    def __init__(self):
        self.another_leader()

    def another_leader(self):
        """Which has bounds of its own."""
        self.known, self.unknown = Bucket(*KNOWN), Bucket(*UNKNOWN)
        self.noted = {}

    def wait(self, trail):
        if trail == "-" or trail.endswith(": factor-failed"):
            return
        since = time.monotonic() - self.noted.get(trail, -SAME_S)
        if since < SAME_S + MARGIN_S:
            time.sleep(SAME_S + MARGIN_S - since)
        if "(anonymous)" in trail and self.unknown.used == self.unknown.burst:
            raise ValueError("more than ten rows of whom nobody knows since the leader leads")
        (self.unknown if "(anonymous)" in trail else self.known).take()

    def note(self, trail):
        self.noted[trail] = time.monotonic()
