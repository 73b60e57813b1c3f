"""Whether a scenario can be asked in a target's dialect at all, decided before anything is sent."""

from __future__ import annotations

from kmon.catalog.model import Scenario, Target


def refusal(target: Target, scenario: Scenario) -> str | None:
    """Why ``scenario`` cannot be carried by the dialect of ``target``, in a sentence that says what to do."""
    calls = any(message.tool_calls or message.role == "tool" for message in scenario.messages)
    subject = f"scenario {scenario.name} cannot be carried by the {target.dialect} dialect"
    if target.dialect == "deepinfra" and (scenario.tools or calls):
        return (
            f"{subject} (it has no tools); aim at a target that speaks another dialect instead of {target.name}, "
            "or ask a scenario without tools"
        )
    several = calls or any(message.role == "assistant" for message in scenario.messages)
    if target.dialect == "openclaw" and (scenario.tools or several):
        return (
            f"{subject} (a gateway has tools and a memory of its own and takes one message); "
            f"ask a scenario without tools, such as code or minimal, or leave {target.name} out"
        )
    if target.dialect == "converse" and calls and (not scenario.tools or scenario.tool_choice == "none"):
        return (
            f"{subject} (Bedrock refuses tool calls in a conversation that offers no tools); "
            f"offer the tools in the scenario, or leave {target.name} out"
        )
    return None
