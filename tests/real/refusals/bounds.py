"""The bounds of the audit trail, as the controllers have them (controller/daemon/refused.h,
controller/http/refusals.h): a row that is to leave an entry waits until there is room.

What was taken is counted from when its entry was seen, which is later than when the leader
took it: so there is room there at the latest when there is room here."""
import time

KNOWN = (5, 1.0)     # at once, and one each so many seconds
UNKNOWN = (10, 60.0)
SAME_S = 1.0         # of one address, user and reason
MARGIN_S = 0.02


class Bucket:
    def __init__(self, burst, each_s):
        self.burst, self.each_s = burst, each_s
        self.used, self.at = 0, time.monotonic()

    def settle(self):
        """Only whole ones are given back."""
        now = time.monotonic()
        back = int((now - self.at) / self.each_s)
        if back >= self.used:
            self.used, self.at = 0, now
        else:
            self.used -= back
            self.at += back * self.each_s
        return now

    def wait(self):
        while True:
            now = self.settle()
            if self.used < self.burst:
                return
            time.sleep(max(0.01, self.at + self.each_s + MARGIN_S - now))

    def take(self):
        self.settle()
        self.used += 1


class Pace:
    """wait() before a row, note() behind it."""

    def __init__(self):
        self.another_leader()

    def another_leader(self):
        """Which has bounds of its own."""
        self.known, self.unknown = Bucket(*KNOWN), Bucket(*UNKNOWN)
        self.noted = {}

    def bucket(self, trail):
        return self.unknown if "(anonymous)" in trail else self.known

    def leaves_none(self, trail):
        return trail == "-" or trail.endswith(": factor-failed")

    def wait(self, trail):
        if self.leaves_none(trail):
            return
        since = time.monotonic() - self.noted.get(trail, -SAME_S)
        if since < SAME_S + MARGIN_S:
            time.sleep(SAME_S + MARGIN_S - since)
        if self.bucket(trail).used >= UNKNOWN[0]:
            raise ValueError("more than ten rows of whom nobody knows since the leader leads")
        self.bucket(trail).wait()

    def note(self, trail):
        if not self.leaves_none(trail):
            self.bucket(trail).take()
            self.noted[trail] = time.monotonic()
