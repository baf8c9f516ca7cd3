"""Templates: the use cases of metadata templates, of enterprises and of the node itself."""

from node.model.template import Template, TemplateAction
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held


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

        The state of `template` counts for nothing: a new one is a draft, another keeps its own.
        """
        raise NotImplementedError

    async def step_template(
        self,
        name: str,
        version: str,
        action: TemplateAction,
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Publish, withdraw or delete a version of a template.

        To delete one that was published all records are searched for its name, which may take half a minute.
        """
        raise NotImplementedError
