"""Applications: the use cases of software that uses identifiers, of enterprises and of the node itself."""

from dataclasses import replace

from node.model.application import APPLICATION_LIFE, Application, ApplicationAction
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held, ObjectKind
from node.registry.objects.identity import application_id
from node.registry.objects.transaction import Deed, Transaction, Whose, check_new, check_version

_A = ApplicationAction


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
        """Register an application (`if_version` 0: only that), or change one that is in use.

        The state of `application` counts for nothing.  What is there just so is no step.
        """
        key = application_id(enterprise, application.name)

        async def work(step: Transaction) -> Held:
            if enterprise:
                await step.hold(ObjectKind.ENTERPRISE, enterprise, share=True)
            held = await step.find(ObjectKind.APPLICATION, key)
            if held is None:
                check_new(ObjectKind.APPLICATION, key, if_version)
                state = APPLICATION_LIFE.next_state(None, _A.REGISTER, roles=actor.roles)
                return await step.put(replace(application, state=state), None, Whose(enterprise))
            check_version(held, if_version)
            step.deed = Deed(APPLICATION_LIFE.rule_of(_A.CHANGE), actor)
            before = held.of(Application)
            after = before.take(_A.CHANGE, roles=actor.roles, text=application)
            return held if after == before else await step.put(after, held, Whose(enterprise))

        return await self._take(Deed(APPLICATION_LIFE.rule_of(_A.REGISTER), actor), work)

    async def step_application(
        self,
        key: str,
        action: ApplicationAction,
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Retire or resume an application."""

        async def work(step: Transaction) -> Held:
            held = await step.hold(ObjectKind.APPLICATION, key, if_version=if_version)
            after = held.of(Application).take(action, roles=actor.roles)
            return await step.put(after, held, Whose(held.enterprise))

        return await self._take(Deed(APPLICATION_LIFE.rule_of(action), actor), work)
