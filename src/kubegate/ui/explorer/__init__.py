"""The page of the local proxy: who am I, what is there, which services answer, and the API to try out.

Served from the files beside this one; `swagger_ui` is npm's swagger-ui-dist, with its licence.
"""
