"""Index tables: a row for each Twin whose Ledger fulfils a rule, the platform's fast queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin

from ttorm.api import names
from ttorm.api.answers import member
from ttorm.api.errors import ValidationError
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.lookup import state_at
from ttorm.records.members import RULE, CheckedCodec, Writable
from ttorm.records.meta import Expected, did_you_mean
from ttorm.records.models import ModelMeta
from ttorm.records.resource import Operations
from ttorm.records.twin import Twin
from ttorm.results import SaveResult
from ttorm.rules import Expression, rule_text
from ttorm.sessions import current_session
from ttorm.tables.alterations import named_in
from ttorm.tables.columns import Column, ColumnRole, key
from ttorm.tables.conditions import Condition
from ttorm.tables.declared import COMMON_OPTIONS, DeclaredTable, is_text
from ttorm.tables.rows import OrderBy, Rows, asked_for
from ttorm.tables.stored import COLUMNS, StoredTable, given
from ttorm.tables.templates import checked_template, template_of
from ttorm.tables.twins import Twins

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    M = DefaultTypeVar("M", bound=Twin, default=Twin)
else:
    M = TypeVar("M", bound=Twin)

__all__ = ["IndexTable", "StoredIndex"]

_GROUPS: Mapping[str, ColumnRole] = {"properties": "property"}


def _wrapped(templates: Any) -> dict[str, Any]:
    return {"properties": {str(name): str(text) for name, text in dict(templates).items()}}


_TEMPLATES = CheckedCodec(_wrapped, lambda wire: dict(member(wire, "properties")))


class StoredIndex(StoredTable):
    """An index table as the service has it; `IndexTable.get` gives one.

    Properties that are put behind the others in `properties`, each with a template, are added by
    `save`; `alter` renames properties as well. Ledgers enter and leave as they change: a new rule
    or template says nothing about those that do not.

    Example:
        >>> table = StoredIndex.create(
        ...     "low_battery",
        ...     rule="LEDGER.battery < 20",
        ...     properties={"battery": "real"},
        ...     templates={"battery": "{LEDGER.battery}"},
        ... )
        >>> table.rule = "LEDGER.battery < 15"
        >>> table.save().updated
        ('rule',)
    """

    __slots__ = ()

    _kind = "indexes"
    _truncation = "truncate_indexes_table"
    _groups = _GROUPS
    _operations = Operations(
        "get_indexes_table", "create_indexes_table", "update_indexes_table", "delete_indexes_table"
    )

    rule: Writable[str] = Writable("Which Ledgers have a row: a rule.", RULE)
    properties: Writable[dict[str, str]] = Writable("What rows hold: types by name.", COLUMNS)
    templates: Writable[dict[str, str]] = Writable(
        "What the properties are made of: templates by name.", _TEMPLATES
    )

    def __init__(
        self,
        name: str,
        *,
        rule: str | Expression,
        properties: Mapping[str, str],
        templates: Mapping[str, str],
        database: str | None = None,
    ) -> None:
        """Make a table that is not saved yet.

        Args:
            name: Its name.
            rule: Which Ledgers have a row.
            properties: What rows hold: types by name.
            templates: What the properties are made of: a template for each.
            database: UUID of the database it is to be in; the default one when left out.
        """
        values = given(
            rule=rule,
            properties=dict(properties),
            templates=dict(templates),
            database_uuid=None if database is None else names.check_uuid(database),
        )
        super().__init__(values, names.check_table_name(name))

    @classmethod
    def create(
        cls,
        name: str,
        *,
        rule: str | Expression,
        properties: Mapping[str, str],
        templates: Mapping[str, str],
        database: str | None = None,
    ) -> StoredIndex:
        """Make a table and save it.

        Args:
            name: Its name.
            rule: Which Ledgers have a row.
            properties: What rows hold: types by name.
            templates: What the properties are made of: a template for each.
            database: UUID of the database it is to be in; the default one when left out.

        Raises:
            SaveError: The service refused it, for example because there is one of that name.
            ValidationError: A name or type is none.
        """
        table = cls(name, rule=rule, properties=properties, templates=templates, database=database)
        table.save()
        return table

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        name: str,
        *,
        rule: str | Expression,
        properties: Mapping[str, str],
        templates: Mapping[str, str],
        database: str | None = None,
    ) -> StoredIndex:
        table = cls(name, rule=rule, properties=properties, templates=templates, database=database)
        await table.asave()
        return table

    def alter(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        templates: Mapping[str, str] | None = None,
        rule: str | Expression | None = None,
    ) -> SaveResult:
        """Rename properties, add new ones behind the others, change templates and rule at once.

        The table is read first. Unsaved changes stay unsaved.

        Args:
            rename: New names of properties by old ones; their templates go with them.
            properties: New properties: types by name.
            templates: Templates of new properties, and new ones of others.
            rule: Which Ledgers have a row.

        Raises:
            StateError: A new property has the name of one that there is.
            ValidationError: There is no such property or type.

        Example:
            >>> table = StoredIndex.create(
            ...     "pumps", rule="LEDGER.pressure > 8", properties={"place": "varchar"},
            ...     templates={"place": "{LEDGER.place}"},
            ... )
            >>> table.alter(rename={"place": "hall"}).updated
            ('properties', 'templates')
        """
        return self._connection.run(self._altering(rename, properties, templates, rule))

    @twin_of(alter)
    async def aalter(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        templates: Mapping[str, str] | None = None,
        rule: str | Expression | None = None,
    ) -> SaveResult:
        return await self._connection.arun(self._altering(rename, properties, templates, rule))

    def _altering(
        self,
        rename: Mapping[str, str] | None,
        properties: Mapping[str, str] | None,
        templates: Mapping[str, str] | None,
        rule: str | Expression | None,
    ) -> Flow[SaveResult]:
        members = given(rule=None if rule is None else rule_text(rule))
        return self._altered(rename, {"properties": properties}, members, templates or {})

    def _check(self, wire: Mapping[str, Any]) -> None:
        known = named_in(member(wire, "properties"))
        templates = member(member(wire, "templates"), "properties")
        # What was not read yet is not known to be missing.
        if not known or "templates" not in wire:
            return
        for name in known:
            if name not in templates:
                raise ValidationError(
                    f"the property {name!r} of the table {self.name!r} has no template: give one, "
                    f'as in {{"{name}": "{{LEDGER.{name}}}"}}',
                    code="bad-argument",
                )
        for name in templates:
            if name not in known:
                raise ValidationError(
                    f"the table {self.name!r} has a template for {name!r}, which is no property"
                    f"{did_you_mean(name, known)}",
                    code="bad-argument",
                )

    def _renamed(self, rename: Mapping[str, str], templates: Mapping[str, str]) -> dict[str, Any]:
        known = member(member(self._item.known, "templates"), "properties")
        renamed = {rename.get(name, name): text for name, text in known.items()}
        wanted = {**renamed, **templates}
        return {} if wanted == known else {"templates": {"properties": wanted}}


def _is_rule(value: Any) -> bool:
    return isinstance(value, Expression) or is_text(value)


class IndexTable(DeclaredTable[StoredIndex], Generic[M]):
    """The base of classes that declare index tables; their objects are rows, one for each Twin.

    Write the model in brackets, ``IndexTable[Scooter]``, or have the model name the table in its
    ``class Meta: indexes = LowBattery``. A column without a template shows the model's field of
    its name. The ``class Meta`` needs a `rule`, and may have `name` (else it is made of the
    class's) and `database`.

    Attributes:
        uuid: UUID of the Twin. How databases call this column is not published: the setting
            ``index_key`` of `SQLReader` says it, provisionally.

    Example:
        >>> class Scooter(Twin):
        ...     battery: Field[float] = entry()
        >>> class LowBattery(IndexTable[Scooter]):
        ...     battery: Column[float] = column()
        ...     class Meta:
        ...         rule = Scooter.battery < 20
        >>> _ = LowBattery.create()
        >>> scooter = Scooter.create(battery=12.5)
        >>> LowBattery.twins(LowBattery.battery > 10).all() == [scooter]
        True
    """

    __kind__ = "indexes"
    __roles__ = ("property",)
    __stored__ = StoredIndex
    __known_options__: ClassVar[Mapping[str, Expected]] = {
        **COMMON_OPTIONS,
        "rule": (_is_rule, "a rule such as Scooter.battery < 20"),
    }
    __model__: ClassVar[Any] = None

    uuid: Column[str] = key("indexes", "uuid", str)

    @classmethod
    def _complete(cls) -> None:
        if "rule" not in cls.__options__:
            raise TypeError(
                f"{cls.__name__} has no rule: write class Meta: rule = ..., such as "
                "Scooter.battery < 20, which says which Twins have a row"
            )
        for base in vars(cls).get("__orig_bases__", ()):
            if get_origin(base) is IndexTable:
                cls._take(get_args(base)[0])
        if cls.__model__ not in (None, Twin):
            cls._wire()

    @classmethod
    def _take(cls, model: Any) -> None:
        if not isinstance(model, ModelMeta):
            raise TypeError(
                f"{cls.__name__}: IndexTable[{model}] expected a model class that is defined "
                f"before it; or write class {cls.__name__}(IndexTable), and in the model's class "
                f"Meta: indexes = {cls.__name__}"
            )
        cls.__model__ = model

    @classmethod
    def __bind__(cls, model: Any) -> None:
        """Learn the class of the Twins that it has rows for.

        Raises:
            TypeError: It has rows for another one, or columns that this one lacks.
        """
        known = cls.__model__
        if known not in (None, Twin) and not issubclass(model, known):
            raise TypeError(
                f"{model.__name__} names the table {cls.__name__} in Meta.indexes, which has rows "
                f"for {known.__name__}: leave it out of one of the two"
            )
        if known in (None, Twin):
            cls.__model__ = model
        cls._wire()

    @classmethod
    def _wire(cls) -> dict[str, Any]:
        columns = cls._columns_of("property")
        templates = {name: cls._template(one) for name, one in columns.items()}
        return {
            "rule": rule_text(cls.__options__["rule"]),
            **cls._lists(_GROUPS),
            "templates": {"properties": templates},
        }

    @classmethod
    def _template(cls, one: Column[Any]) -> str:
        """Return the template of a column: its own, or that of the model's field of its name."""
        where = f"{cls.__name__}.{one.attribute}"
        if one.template is not None:
            return checked_template(where, one.template)
        fields: Mapping[str, Any] = getattr(cls.__model__, "__fields__", {})
        if one.attribute not in fields:
            what = "the model" if cls.__model__ is None else cls.__model__.__name__
            raise TypeError(
                f"{where} has no template, and {what} has no field of that name"
                f"{did_you_mean(one.attribute, fields)}: write one, as in "
                f'column("{{LEDGER.{one.name}}}")'
            )
        # Which fields rules see, templates see: the others raise.
        return one.learn(template_of(getattr(cls.__model__, one.attribute)))

    # Its rows as Twins

    @property
    def twin(self) -> M:
        """The Twin of the row; it is loaded when it is looked at."""
        model = cast("type[M]", type(self).__model__ or Twin)
        session = current_session(self._connection)
        found: M = state_at(model, names.check_uuid(self.uuid), session).view(model)
        return found

    @classmethod
    def twins(
        cls,
        where: Condition | None = None,
        *,
        order_by: OrderBy = (),
        limit: int | None = None,
    ) -> Twins[M]:
        """Go through the Twins that have a row: the fast way to find Twins by what they hold.

        A row tells what was true when the Ledger last changed.

        Args:
            where: Only rows that fulfil it, such as ``LowBattery.battery < 10``.
            order_by: A column or several, each perhaps with ``.desc()``.
            limit: Most Twins; None for all.

        Returns:
            What can be iterated by ``for`` and ``async for``; the Twins are loaded when they are
            looked at.

        Raises:
            ConfigurationError: The connection has nothing to read rows with.
            ValidationError: The condition speaks of another table.
        """
        rows: Rows[Any] = cls._rows(asked_for(where, order_by, limit), ["uuid"])
        return Twins(rows, cast("type[M]", cls.__model__ or Twin))
