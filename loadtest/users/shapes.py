"""Shapes: users that come and go, beside any other locustfile.

locust -f loadtest/users/web.py,loadtest/users/shapes.py --shape spike --users 200 --run-time 5m RawWeb
"""

from time import perf_counter
from typing import ClassVar

from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser

from loadtest.users.curves import CURVES, users_at

USERS, SECONDS = 100, 60


def add_shape_option(parser: LocustArgumentParser) -> None:
    """Add the choice of a shape."""
    parser.add_argument(
        "--shape",
        choices=tuple(CURVES),
        default="ramp",
        help="how users come and go; --users is the peak",
    )


events.init_command_line_parser.add_listener(add_shape_option)


class Shape(LoadTestShape):
    """The chosen curve, up to --users over --run-time."""

    use_common_options: ClassVar[bool] = True

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there should be now, and how many may come a second; None at the end."""
        options = self.runner.environment.parsed_options if self.runner else None
        if options is None:
            return None
        peak = int(options.num_users or USERS)
        users = users_at(
            CURVES[options.shape],
            perf_counter() - self.start_time,
            length=float(options.run_time or SECONDS),
            peak=peak,
        )
        return None if users is None else (users, float(peak))
