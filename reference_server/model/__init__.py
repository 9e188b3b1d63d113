"""The scripted model: an OpenAI-compatible endpoint that answers what the prompt's script says.

A real agent server whose model is this one runs with its real loop, its real tools and its real stream,
and yet what it is to do is known to the byte (docs/model.md).
"""
