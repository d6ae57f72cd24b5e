"""The starter profile asks in the words its language model was trained with."""

from maata.profile import load_profile
from training.dialogues import SYSTEM_PROMPT


def test_the_profile_and_the_recipe_agree():
    assert load_profile("starter").cascade.llm.system_prompt == SYSTEM_PROMPT
