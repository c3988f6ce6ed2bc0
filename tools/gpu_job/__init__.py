"""A whole run on a borrowed machine: one GPU, no network, files in portions, commands of some minutes.

    python -m tools.gpu_job pack FOLDER      here: what the run needs, cut into portions
    python -m tools.gpu_job unpack PORTION   there: once for each portion
    python -m tools.gpu_job run              there: until it says that it is finished
    python -m tools.gpu_job collect FOLDER DIR   here: what came back, as a run's folder

`docs/scale.md` has the commands in order. What unpacks needs nothing but Python; torch and most other libraries are
the machine's own, the rest of what babelpress imports travels as files.
"""
