"""The lead's pages: how the work goes, what people and OmniScore say, what is decided about it.

A Gradio app of its own under `/lead/`, beside the annotators' page, so that nothing of it is in
what they load. What is said about votes is computed in `data` and only shown here.
"""
