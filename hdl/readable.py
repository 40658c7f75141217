r"""Makes the Verilog that Yosys writes readable: expressions instead of a net for each operator.

Yosys writes ``assign \$1  = ~ o_valid;`` and ``assign advance = \$1  | o_ready;`` for what reads
``assign advance = (~ o_valid) | o_ready;`` here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

__all__ = ["readable"]

#: A name that is escaped ends with a blank.
_ESCAPED = r"\\\S+ "
#: Nets that Amaranth or Yosys made for an operator.
_NAMELESS = r"\\\$\S+ "
_MODULE = re.compile(r"^module .*?^endmodule\n", re.MULTILINE | re.DOTALL)
_DECLARATION = re.compile(
    rf"  (?:input|output|wire|reg)(?: signed)?(?: \[(\d+):0\])? ({_ESCAPED}|\w+)(?: = .*)?;\n"
)
_ASSIGNMENT = re.compile(rf"  assign ({_NAMELESS}) = (.*);\n")
_INSTANCE = re.compile(r"^  \w+ (\w+) \(\n(.*?)^  \);$", re.MULTILINE | re.DOTALL)
#: A constant, or a net and what is selected of it.
_OPERAND = re.compile(rf"(\d+)'h\w+|({_ESCAPED}|[A-Za-z_]\w*)(?:\[(\d+)(?::(\d+))?\])?")
#: Reductions and comparisons are of one bit, whatever their operands are.
_ONE_BIT = re.compile(r"[|&^!] .*|.* (?:==|!=|<|<=|>|>=|&&|\|\|) .*")
#: What depends on more than the widths of its operands, or has a width that is not seen at once.
_OPAQUE = re.compile(r"[<>/%{]|\$signed")
_STATEMENT = re.compile(r" *(?:assign )?(?:else )?(?:if \(.*\) )?(\S+ ?) <?= (.*);\n")
#: A net that is all of a right side, one that has parentheses, and any other.
_PLACE = re.compile(rf"(?<== )({_NAMELESS});|\(({_NAMELESS})\)|({_NAMELESS})")


def readable(verilog: str) -> str:
    r"""The same Verilog, with expressions in the place of nets that nobody has named.

    An expression stays a net if it is used twice, or if anything in it might become wider or
    narrower in its new place. Names are escaped no more: ``\sum_3$45`` is ``sum_3_45``.

    Parameters
    ----------
    verilog : str
        Modules without processes, as ``write_verilog -norename -noattr`` writes them.
    """
    return _MODULE.sub(lambda match: _named(_folded(match[0])), verilog)


def _folded(module: str) -> str:
    lines = module.splitlines(keepends=True)
    declared = {match[2]: match for line in lines if (match := _DECLARATION.fullmatch(line))}
    assigned = {match[1]: match for line in lines if (match := _ASSIGNMENT.fullmatch(line))}
    widths = {name: int(match[1] or 0) + 1 for name, match in declared.items()}
    uses = Counter(re.findall(_NAMELESS, module))
    # Declared, assigned and used, once each.
    expressions = {name: match[2] for name, match in assigned.items() if uses[name] == 3}
    for line in lines:
        statement = _STATEMENT.fullmatch(line)
        left, right = statement.groups() if statement else ("", "")
        names = () if _DECLARATION.fullmatch(line) else re.findall(_NAMELESS, line)
        for name in expressions.keys() & set(names) - {left}:
            if not _may_stand(expressions[name], name, left, right, widths):
                del expressions[name]

    def put(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name not in expressions:
            return match[0]
        text = _PLACE.sub(put, expressions[name])
        return f"{text};" if match[1] else f"({text})"

    gone = {found[name][0] for found in (declared, assigned) for name in expressions}
    return _PLACE.sub(put, "".join(line for line in lines if line not in gone))


def _may_stand(
    expression: str, name: str, left: str, right: str, widths: Mapping[str, int]
) -> bool:
    """Whether an expression may stand in a statement for the net that it is assigned to."""
    width = widths[name]
    as_wide = _width(left, widths) == width
    if right == name:
        return as_wide and not left.startswith("\\$")
    of_one_bit = width == 1 and _ONE_BIT.fullmatch(expression) is not None
    if not of_one_bit and not _is_even(expression, width, widths):
        return False
    # Conditions and ports, what selects, what is reduced, and members of concatenations are
    # evaluated for themselves.
    if name not in right or right in (f"{reduction} {name}" for reduction in "|&^!"):
        return True
    if any(place in right for place in (f"{name} ?", f"{{ {name}", f", {name}")):
        return True
    return as_wide and _is_even(right, width, widths)


def _is_even(expression: str, width: int, widths: Mapping[str, int]) -> bool:
    """Whether all operands are of one width, but for what selects others."""
    operands = re.sub(r"^.* \? ", "", expression)
    return not _OPAQUE.search(operands) and all(
        _width(match[0], widths) == width for match in _OPERAND.finditer(operands)
    )


def _width(operand: str, widths: Mapping[str, int]) -> int | None:
    """Bits of an operand; None if it is none, or such as a part of a larger one."""
    match = _OPERAND.fullmatch(operand)
    if match is None:
        return None
    constant, name, high, low = match.groups()
    if constant:
        return int(constant)
    return widths.get(name) if high is None else int(high) - int(low or high) + 1


def _named(module: str) -> str:
    """With a name for every net that has none left, and without escapes."""
    names: dict[str, str] = {}
    for instance, pins in _INSTANCE.findall(module):
        for pin, net in re.findall(rf"\.(\w+)\(({_NAMELESS})\)", pins):
            names.setdefault(net, f"{instance}_{pin}")
    taken = set(re.findall(r"(?<![\\\w$])[A-Za-z_]\w*", module))
    for escaped in dict.fromkeys(re.findall(_ESCAPED, module)):
        plain = names.get(escaped) or re.sub(r"\W+", "_", escaped).strip("_")
        plain = f"net_{plain}" if plain[0].isdigit() else plain
        while plain in taken:
            plain += "_"
        names[escaped] = plain
        taken.add(plain)
    return re.sub(_ESCAPED, lambda match: names[match[0]], module)
