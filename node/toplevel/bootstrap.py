"""Bootstrap: which service to ask for the registration data of which prefixes, in the manner of RFC 9224.

That there is such a file is said in the drafts of the query protocol (IIIDAP); its form is RFC 9224's, its content is
what the routes say.
"""

from datetime import UTC, datetime

from node.toplevel.resolution import Route, Routes


def bootstrap(routes: Routes, now: float) -> dict[str, object]:
    """Return the file: prefixes that have the same services stand together."""
    by_urls: dict[tuple[str, ...], list[str]] = {}
    for route in routes:
        urls = _urls(route)
        if urls:
            by_urls.setdefault(urls, []).append(route.prefix)
    at = datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
    return {
        "version": "1.0",
        "publication": at,
        "description": "Identifier prefixes of the simulated national top-level node",
        "services": [[prefixes, list(urls)] for urls, prefixes in by_urls.items()],
    }


def _urls(route: Route) -> tuple[str, ...]:
    hosts = [
        (f"[{site.ip}]" if ":" in site.ip else site.ip, site.http_port) for site in route.sites
    ]
    return tuple(f"http://{host}:{port}/" for host, port in hosts if port)
