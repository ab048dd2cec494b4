"""The base class of all widgets: a panel shows one result, validates requests from its views, and can pin a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import anywidget
import traitlets
from pydantic import BaseModel, Field

from interp_backend.common.signatures import request_model
from interp_backend.language.interventions import check_activation
from interp_backend.place import Place, as_place
from interp_backend.refusal import Refused
from interp_backend.results.envelope import SCHEMA_VERSION
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest, Request
from interp_backend.service.tasks import Task

from . import bundles
from .kernel import keep_messages

# Kernel-side traits that a saved page does not need.
_NOT_ON_A_PAGE = {"layout", "tabbable", "tooltip", "comm"}
if TYPE_CHECKING:
    from interp_backend.language.model import LanguageModel

    from .asking import Asker, Want

# The fields of requests.
Index = Annotated[int, Field(ge=0)]
Side = Annotated[str, Field(max_length=10)]
Word = Annotated[str, Field(min_length=1, max_length=1000)]
F = TypeVar("F", bound=Callable[..., Any])


class Recorder(Protocol):
    """Notes what a person does in a panel, and what the panel asks for because of it."""

    def recording(self, panel: Panel, do: str, params: dict[str, Any]) -> AbstractContextManager[None]: ...

    def note(self, asked: Any) -> None: ...


def action(name: str, request: type[BaseModel] | None = None, *, command: bool = True) -> Callable[[F], F]:
    """Mark a method of a panel as the answer to a request of this name.

    The fields of the request are the method's parameters after `self` and the request's id, unless `request` gives its
    pydantic model. The method returns the task that will answer the request, or None if the request is answered when
    the method returns.

    Args:
        command: the request is something that a person does, and not a view's own, such as for a part of a result.
    """

    def mark(function: F) -> F:
        asked = request or request_model(function, "self", "id")
        function.__dict__.update(request_name=name, request=asked, command=command)
        return function

    return mark


class Panel(anywidget.AnyWidget):
    """Shows one result, and needs no model for that. With an `Asker`, it also asks a model for results."""

    bundle = ""  # the name of the script that draws the panel, in a notebook and on a saved page
    title = ""  # the panel's name for readers, if that is not the name of its class
    _parts: Sequence[str] = ()  # the parts of a place that the panel shows
    _own_places: Sequence[str] = ()  # places that are no activations which could be patched, such as the logits
    _closed = False
    _alone = False  # whether a trait is being set in this panel alone, and not in those that share its pinned place
    _recorder: Recorder | None = None
    _asker: Asker | None = None

    # A view that finds another version in a saved notebook asks the reader to run the cell again.
    schema = traitlets.Int(SCHEMA_VERSION, read_only=True, help="The version of these traits.").tag(sync=True)
    info = traitlets.Dict(help="The entries of the menus.").tag(sync=True)
    error = traitlets.Instance(
        dict, allow_none=True, help="The last error: `message`, and perhaps `field`, `traceback` and `remedy`."
    ).tag(sync=True)
    selection = traitlets.Instance(dict, allow_none=True, help="The pinned place, or None.").tag(
        sync=True, set_by_view=True
    )
    group = traitlets.Unicode(
        None, allow_none=True, help="Panels of the same group share their pinned place; see `link`."
    ).tag(sync=True)
    asked = traitlets.Instance(
        dict, allow_none=True, help="The call whose result should be shown, and the id of the task that answers it."
    ).tag(sync=True)
    status = traitlets.Unicode("idle", help="idle, queued, running, done, cancelled or error.").tag(sync=True)
    progress = traitlets.Dict(
        help="`done` of `total`, how much of the next is done (`within`), and `seconds_left` or None."
    ).tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        if "bundle" in vars(cls):
            cls._esm = bundles.bundle(cls.bundle)
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__.__doc__ = ""  # or help shows ipywidgets' "Public constructor" beside the class's own text

    def __init__(self, **traits: Any) -> None:
        keep_messages()
        self._views: set[str] = set()
        self._was_shown = False
        super().__init__(progress=progress(0, 0), **traits)
        self.on_msg(_receive)

    @property
    def on_a_page(self) -> bool:
        """Whether a view is on a page. True also if no view ever was, as in a script."""
        return bool(self._views) or not self._was_shown

    @property
    def model(self) -> LanguageModel | None:
        """The model of the asker, or None."""
        return None if self._asker is None else self._asker.model

    # For users

    def run(self) -> None:
        """Compute again what the traits describe."""
        self._asking().again(self._asking().main)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the panel shows what its traits describe; False after `timeout` seconds, or if they describe
        nothing that can be asked for, and then `error` says why.

        Interrupting the wait cancels the work.

        Raises:
            RuntimeError: the caller is an observer or a metric, which run as part of the work.
        """
        return self._asker is None or self._asker.wait(timeout)

    @action("cancel", command=False)
    def _on_cancel(self, id: str) -> None:
        """Cancel the running work."""
        self.cancel()

    def cancel(self) -> None:
        """Cancel the running work; cells that have been computed are kept."""
        if self._asker is not None:
            self._asker.cancel()

    def close(self) -> None:
        """Close the widget, and cancel its work."""
        self._closed = True  # first, so that what changes from now on asks for nothing
        self.cancel()
        super().close()
        self.unobserve_all()
        self._asker = None

    def wants(self) -> dict[str, Want]:
        """The calls whose results the panel should show, by output. The asker reads this after every change."""
        return {}

    def _asking(self) -> Asker:
        if self._closed:
            raise ValueError(f"This widget is closed. Make another one: {type(self).__name__}(model, ...).")
        if self._asker is None:
            raise ValueError(f"This widget shows a result and has no model to ask: {type(self).__name__}(model, ...).")
        return self._asker

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What a notebook stores of this widget, with a sentence for readers whose notebook runs no scripts."""
        outputs = super()._repr_mimebundle_(**options)
        if outputs is not None:
            outputs[0]["text/plain"] = self.stand_in
        return outputs

    @property
    def stand_in(self) -> str:
        """What readers see where there is no view."""
        return f"Hookscope {self.title or type(self).__name__}: to see it, trust this notebook or run the cell again."

    def page_state(self) -> dict[str, Any]:
        """The traits for a saved page, which has no kernel to ask for more."""
        state = self.get_state()
        return {name: value for name, value in state.items() if name[0] != "_" and name not in _NOT_ON_A_PAGE}

    # Messages from views

    def set_state(self, sync_data: Any) -> None:
        """Set the traits that a view has changed. A view may set only traits with the tag, to valid values."""
        if not isinstance(sync_data, dict):
            return self.fail("A view's state is an object.", "state")
        for name, value in sync_data.items():
            try:
                self._refuse_trait(name)
                with self._recorded("set", {name: value}):
                    self._alone = True  # the page's other views have set it themselves
                    super().set_state({name: value})
            except (traitlets.TraitError, ValueError, TypeError, ArithmeticError, RecursionError) as problem:
                deep = isinstance(problem, RecursionError)
                self.fail(f"{name} is nested too deeply." if deep else sentence(problem), str(name))
                if self.has_trait(name):
                    self.send_state(name)  # other views may have received the refused value
            finally:
                self._alone = False

    def _refuse_trait(self, name: str) -> None:
        """Raise ValueError for a trait that views may not set."""
        if not self.has_trait(name) or not self.trait_metadata(name, "set_by_view"):
            raise ValueError(f"{name} can't be set from a view.")

    def perform(self, do: str, params: Mapping[str, Any]) -> None:
        """Do what a command says, as if a view had asked for it.

        Raises:
            ValueError, TraitError: the panel has no such request or trait, or not with these values.
        """
        if do == "set":
            for name, value in params.items():
                self._refuse_trait(name)
                with self._recorded(do, {name: value}):
                    setattr(self, name, value)
            return
        if not getattr(self.actions().get(do), "command", True):
            raise ValueError(f"{do} is a request of the view's own, and no command.")
        request = protocol.parse(protocol.request(self._asking().new_id(), do, params), self._methods())
        with self._recorded(do, dict(params)):
            self._answer(request)

    def _recorded(self, do: str, params: dict[str, Any]) -> AbstractContextManager[None]:
        """Let the recorder note a command while it is carried out; it forgets a command that raises an error."""
        noted = getattr(self.actions().get(do), "command", True)
        return self._recorder.recording(self, do, params) if self._recorder and noted else nullcontext()

    @classmethod
    def actions(cls) -> dict[str, Callable[..., Task | None]]:
        """The methods that a view may request, by the names that it uses."""
        parts = [part for base in reversed(cls.__mro__) for part in vars(base).values()]
        return {part.request_name: part for part in parts if hasattr(part, "request_name")}

    @classmethod
    def requests(cls) -> set[str]:
        """The names of all requests that a panel with a model can answer."""
        return {*cls.actions()}

    def _methods(self) -> dict[str, type[BaseModel]]:
        """The pydantic model of each request that a view may send, by name."""
        return {name: vars(function)["request"] for name, function in self.actions().items()}

    def take_message(self, message: Any) -> None:
        """Answer a request from a view, or send an error that describes the problem."""
        id = ""
        try:
            request = protocol.parse(message, self._methods())
            id = request.id
            self.send(protocol.event(id, "accepted"))
            with self._recorded(request.method, request.params.model_dump(mode="json", exclude_unset=True)):
                task = self._answer(request)
            if task is None or task.id != id:
                self.send(protocol.event(id, "result"))
        except BadRequest as problem:
            self.fail(str(problem), problem.field, problem.id or id)
        except Exception as problem:  # otherwise the error would only appear in the kernel's log
            self.fail(sentence(problem), getattr(problem, "field", None), id)

    def _answer(self, request: Request) -> Task | None:
        arguments = {name: getattr(request.params, name) for name in type(request.params).model_fields}
        return self.actions()[request.method](self, request.id, **arguments)

    @action("shown", command=False)
    def _on_shown(self, id: str, view: str) -> None:
        """Note that a view of this widget is on a page now."""
        self._views.add(view)
        self._was_shown = True
        if self._asker is not None:
            self._asker.refresh()

    @action("hidden", command=False)
    def _on_hidden(self, id: str, view: str) -> None:
        """Note that a view is gone from its page."""
        self._was_shown = True
        self._views.discard(view)

    def _set_together(self, id: str, chosen: Mapping[str, Any]) -> None:
        """Set the traits that a request names: all of them, or none if one is refused."""
        before = {name: getattr(self, name) for name in chosen}
        with self._asking().defer():
            for name, value in chosen.items():
                try:
                    setattr(self, name, value)
                except traitlets.TraitError as problem:
                    for kept, old in before.items():
                        setattr(self, kept, old)
                    raise BadRequest(str(problem), name, id) from None

    def fail(
        self,
        message: str,
        field: str | None = None,
        id: str = "",
        traceback: str | None = None,
        remedy: dict[str, Any] | None = None,
    ) -> None:
        """Show an error, and answer a request with it.

        Args:
            field: the argument or trait that is wrong.
            id: of the request.
            traceback: of the user's own code.
            remedy: a button beside the error: its `label`, and the `method` and `params` of the request that it sends.
        """
        message, field = whole_characters(message), field and whole_characters(field)
        self.error = {"field": field, "message": message, "traceback": traceback, "remedy": remedy}
        self.send(protocol.event(id, "error", message=message, field=field))

    def fail_of(self, problem: BaseException | None, id: str) -> None:
        """Show the error that ended a task, with a remedy if the error names arguments that would work."""
        remedy = None
        asked: Any = self.asked
        if isinstance(problem, Refused) and asked is not None and asked["method"] in self._methods():
            params = {**asked["params"], **problem.change}
            known = self._methods()[asked["method"]].model_fields
            params = {name: value for name, value in params.items() if name in known}
            remedy = {"label": problem.label, "method": asked["method"], "params": params}
        self.fail(sentence(problem), None, id, getattr(problem, "traceback", None), remedy)

    # The pinned place

    @traitlets.validate("selection")
    def _valid_selection(self, proposal: Any) -> dict[str, Any] | None:
        try:
            place = as_place(proposal["value"])
            if place is None or place == Place():
                return None
            if place.activation is not None and place.activation not in self._own_places:
                check_activation(None, place.activation)
            return self._placed(place).to_json()
        except ValueError as problem:
            raise traitlets.TraitError(str(problem)) from None

    def _placed(self, place: Place) -> Place:
        """Return the place if the displayed result has it.

        Raises:
            ValueError: there is no result yet, or the result does not have this place.
        """
        result: Any = getattr(self, "result", None)
        if result is None:
            raise ValueError("Nothing can be pinned before there is a result. Call .wait() first.")
        if place.within(*self._parts) != Place() and result.find(place) is None:
            raise ValueError(f"The displayed result has no place {place.to_json()}.")
        return place

    def _unpin_what_is_gone(self) -> None:
        """Unpin the place if the new result does not have it. Panels that share it keep it."""
        selection: Any = self.selection
        place = as_place(selection)
        try:
            if place is not None:
                self._placed(place)
        except ValueError:
            self._alone = True
            self.selection = None
        finally:
            self._alone = False


def _receive(panel: Panel, message: Any, _: Any) -> None:
    panel.take_message(message)


def progress(done: int, total: int, seconds_left: float | None = None, within: float = 0.0) -> dict[str, Any]:
    return {"done": done, "total": total, "seconds_left": seconds_left, "within": within}


def sentence(problem: BaseException | None) -> str:
    """The message of an exception, preceded by the exception's name unless it is an error meant for users."""
    text = ""
    with suppress(RecursionError):
        text = str(problem)
    if isinstance(problem, (ValueError, TypeError, traitlets.TraitError)) and text:
        return text
    return f"{type(problem).__name__}: {text}"


def whole_characters(text: str) -> str:
    """The text with question marks in place of lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
