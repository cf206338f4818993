"""avsim inside other programs; each is installed by its own users.

comfyui   nodes of ComfyUI
"""
