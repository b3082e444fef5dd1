// Exists so that each precompiled header has a target of its own to be built in.
