"""Templates: the use cases of metadata templates, of enterprises and of the node itself."""

from dataclasses import replace

from node.model.template import (
    TEMPLATE_LIFE,
    Template,
    TemplateAction,
    TemplateState,
)
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held, ObjectExists, ObjectKind
from node.registry.objects.identity import template_id
from node.registry.objects.transaction import Deed, Transaction, Whose, check_new, check_version
from node.store.objects import is_named_in_records, was_taken

_A = TemplateAction


class Templates(Desk):
    """Takes the steps of templates.  All raise as those of `Enterprises`."""

    async def put_template(
        self,
        template: Template,
        actor: Actor,
        *,
        enterprise: str = "",
        if_version: int | None = None,
    ) -> Held:
        """Create a version of a template (`if_version` 0: only that), change a draft, or revise what was published.

        The state of `template` counts for nothing: a new one is a draft, another keeps its own.  What is there just so
        is no step.
        """
        key = template_id(template.name, template.version)

        async def work(step: Transaction) -> Held:
            if enterprise:
                await step.hold(ObjectKind.ENTERPRISE, enterprise, share=True)
            held = await step.find(ObjectKind.TEMPLATE, key)
            whose = Whose(enterprise)
            if held is None:
                check_new(ObjectKind.TEMPLATE, key, if_version)
                step.deed = Deed(TEMPLATE_LIFE.rule_of(_A.CREATE), actor)
                state = TEMPLATE_LIFE.next_state(None, _A.CREATE, roles=actor.roles)
                return await step.put(replace(template, state=state), None, whose)
            if held.enterprise != enterprise:
                raise ObjectExists(ObjectKind.TEMPLATE, key)
            check_version(held, if_version)
            before = held.of(Template)
            action = _A.CHANGE if before.state is TemplateState.DRAFT else _A.REVISE
            step.deed = Deed(TEMPLATE_LIFE.rule_of(action), actor)
            after = before.take(action, roles=actor.roles, text=template)
            return held if after == before else await step.put(after, held, whose)

        return await self._take(Deed(TEMPLATE_LIFE.rule_of(_A.CREATE), actor), work)

    async def step_template(
        self,
        key: str,
        action: TemplateAction,
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Publish, withdraw or delete a version of a template.

        To delete one that was published all records are searched for its name, which may take half a minute.
        """
        is_unused = action is _A.DELETE and await self._is_unused(key)

        async def work(step: Transaction) -> Held:
            held = await step.hold(ObjectKind.TEMPLATE, key, if_version=if_version)
            after = held.of(Template).take(action, roles=actor.roles, is_unused=is_unused)
            return await step.put(after, held, Whose(held.enterprise))

        return await self._take(Deed(TEMPLATE_LIFE.rule_of(action), actor), work)

    async def _is_unused(self, key: str) -> bool:
        """True when no record can name the template, or none does."""
        held = await self.read(ObjectKind.TEMPLATE, key)
        published = TEMPLATE_LIFE.rule_of(_A.PUBLISH)
        if held is None or not await was_taken(self._database, held.kind.value, held.id, published):
            return True
        return not await is_named_in_records(self._database, held.of(Template).name.encode())
