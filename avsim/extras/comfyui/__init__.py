"""Nodes of ComfyUI: video with audio from text, audio for a video, a video's continuation, stems of a region.

To install them, put a file `avsim_nodes.py` into ComfyUI's folder `custom_nodes` with the line

    from avsim.extras.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

and `pip install avsim` into its environment.
"""

from avsim.extras.comfyui.nodes import Extend, Foley, Generate, Separate

NODE_CLASS_MAPPINGS = {
    "AvsimGenerate": Generate,
    "AvsimFoley": Foley,
    "AvsimExtend": Extend,
    "AvsimSeparate": Separate,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "AvsimGenerate": "Generate video with audio (avsim)",
    "AvsimFoley": "Generate audio for video (avsim)",
    "AvsimExtend": "Extend video with audio (avsim)",
    "AvsimSeparate": "Separate audio of region (avsim)",
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
