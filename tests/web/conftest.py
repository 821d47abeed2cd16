"""A real HTTP server over reports and probes that the test provides."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from msgspec.structs import replace

from agent.settings import Http
from agent.telemetry import Telemetry
from agent.web import Alert, Books, Enrichment, Falco, FileReport, LaneReport, Probe, Report, serve

NOW = 1_795_419_136.0

CALM = Report(
    version="0.1.0",
    node="ip-10-0-12-87",
    cluster="eks-managed-cluster",
    group="/falco/eks-managed-cluster",
    started_at=NOW - 273_000,
    now=NOW,
    books=Books(read=1_000, shipped=960, filtered=10, rejected=0, in_flight=30),
    lanes=(
        LaneReport("urgent", "ip-10-0-12-87/urgent", waiting=0, oldest_seconds=0.0, shipped=60),
        LaneReport("routine", "ip-10-0-12-87", waiting=30, oldest_seconds=0.3, shipped=900),
    ),
    files=(FileReport("/var/log/pods/falco_falco-x_1/falco/0.log", "803:1822", size=4_096, committed=2_048),),
    lag_bytes=2_048,
    lag_seconds=0.3,
    budget_bytes=16 << 20,
    budget_used_bytes=30_720,
    send_slots=4,
    send_slots_used=1,
    puts={"accepted": 9, "throttled": 3},
    throttled=3,
    last_acknowledged_at=NOW - 0.4,
    filtered={"priority": 10},
    checkpoint_age_seconds=0.6,
    last_alerts=(Alert(NOW - 2, "Error", "Mkdir binary dirs"),),
    falco=Falco(silent_seconds=2.0, versions=("0.44.1",), alerts_by_priority={"Error": 1}),
    enrichment=Enrichment("api", pods=34, results={"hit": 1}),
)
OK = (Probe("loop", True, "the event loop answers"),)
READY = (Probe("log root", True, "/var/log/pods can be read"), Probe("credentials", True, "web identity"))


class ServedPages:
    """The answers to the next request, and a client."""

    def __init__(self) -> None:
        self.telemetry = Telemetry("0.1.0")
        self.report = CALM
        self.health: Sequence[Probe] = OK
        self.readiness: Sequence[Probe] = READY
        self.asked = 0
        self.grows = False
        """Whether each report has one record more than the last."""
        self.port = 0
        self.client: aiohttp.ClientSession

    def change(self, **changes: object) -> None:
        self.report = replace(self.report, **changes)

    def take_report(self) -> Report:
        self.asked += 1
        if self.grows:
            self.change(books=Books(1_000 + self.asked, 960 + self.asked, 10, 0, 30))
        return self.report

    def health_now(self) -> Sequence[Probe]:
        return self.health

    def readiness_now(self) -> Sequence[Probe]:
        self.health_now()
        return self.readiness

    @asynccontextmanager
    async def serve(self, settings: Http) -> AsyncIterator[int]:
        async with serve(
            settings,
            self.telemetry,
            report=self.take_report,
            health=lambda: self.health_now(),
            readiness=lambda: self.readiness_now(),
        ) as port:
            yield port

    def get(self, path: str, **headers: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    async def text(self, path: str) -> str:
        async with self.get(path) as response:
            return await response.text()


@pytest.fixture
async def pages() -> AsyncIterator[ServedPages]:
    pages = ServedPages()
    async with (
        pages.serve(Http(host="127.0.0.1", port=0)) as pages.port,
        aiohttp.ClientSession(f"http://127.0.0.1:{pages.port}") as pages.client,
    ):
        yield pages
