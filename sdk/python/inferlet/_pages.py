"""KV pages of one queue, counted by the contexts that use them."""

from __future__ import annotations

from inferlet import _host as host

_KV_PAGE = 0
_CHUNK = 8
_UNUSED_MAX = 32


class Page:
    """One page, by its number on the host."""

    __slots__ = ("number", "users")

    def __init__(self, number: int) -> None:
        self.number = number
        self.users = 1


class Pages:
    """Fetches several at a time, so that most steps need no call for them."""

    def __init__(self, queue: host.common.Queue, size: int) -> None:
        self.queue = queue
        self.size = size
        """Tokens in a page."""
        self._free: list[int] = []

    def take(self, count: int) -> list[Page]:
        """So many pages, with one user each."""
        if count > len(self._free):
            wanted = max(count - len(self._free), _CHUNK)
            self._free += reversed(host.common.allocate_resources(self.queue, _KV_PAGE, wanted))
        return [Page(self._free.pop()) for _ in range(count)]

    def give_back(self, pages: list[Page]) -> None:
        """One user less for each; unused ones are kept for later, or go back to the host."""
        for page in pages:
            page.users -= 1
            if page.users == 0:
                self._free.append(page.number)
        if len(self._free) > _UNUSED_MAX:
            host.common.deallocate_resources(self.queue, _KV_PAGE, self._free[_CHUNK:])
            del self._free[_CHUNK:]

    def __del__(self) -> None:
        if self._free:
            host.common.deallocate_resources(self.queue, _KV_PAGE, self._free)
