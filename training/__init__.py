"""One recipe a file; the docstring of a recipe is its command. Also the data the recipes eat.

Recipes write checkpoints in the layouts that `models` loads, and nothing else connects them with
serving. May import `models` and `maata.profile`; never services, pipelines or pipecat.
"""
