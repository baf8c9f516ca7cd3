"""Applications: the use cases of software that uses identifiers, of enterprises and of the node itself."""

from node.model.application import Application, ApplicationAction
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held


class Applications(Desk):
    """Takes the steps of applications.  All raise as those of `Enterprises`."""

    async def put_application(
        self,
        application: Application,
        actor: Actor,
        *,
        enterprise: str = "",
        if_version: int | None = None,
    ) -> Held:
        """Register an application (`if_version` 0: only that), or change one that is in use."""
        raise NotImplementedError

    async def step_application(
        self,
        name: str,
        action: ApplicationAction,
        actor: Actor,
        *,
        enterprise: str = "",
        if_version: int | None = None,
    ) -> Held:
        """Retire or resume an application."""
        raise NotImplementedError
