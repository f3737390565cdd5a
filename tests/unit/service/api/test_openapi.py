from __future__ import annotations

import openapi_spec_validator
import pytest

from service.api.openapi import OPERATIONS, document
from service.route_table import API
from service.schemas import BOUND, Bounds, OptionsOfPicture, SearchBody


def test_document_keeps_to_the_specification():
    """The document is valid OpenAPI 3.1, and every reference in it leads somewhere."""
    openapi_spec_validator.validate(document(), cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_names_of_operations_differ():
    """Clients that are generated of the document get one function a route."""
    names = [one["operationId"] for path in document()["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names) == len(OPERATIONS)
    assert "get_images_one_similar" in names


def test_search_takes_a_form_or_json():
    """Both kinds of body are described, with the fields of the models that check them."""
    content = document()["paths"][f"{API}/search"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"image", *OptionsOfPicture.model_fields}
    assert form["properties"]["image"]["format"] == "binary"
    assert content["application/json"]["schema"]["$ref"].endswith("/SearchBody")
    described = document()["components"]["schemas"]["SearchBody"]["properties"]
    assert set(described) == set(SearchBody.model_fields)


def test_document_says_the_operators_bounds():
    """In addresses, forms and JSON; and not how the models name them."""
    found = document(Bounds(limit=77, batch=5))
    parameters = found["paths"][f"{API}/images"]["get"]["parameters"]
    (limit,) = [one["schema"] for one in parameters if one["name"] == "limit"]
    assert (limit["minimum"], limit["maximum"]) == (1, 77)
    form = found["paths"][f"{API}/search"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["properties"]["limit"]["maximum"] == 77
    described = found["components"]["schemas"]
    assert described["SearchBody"]["properties"]["limit"]["maximum"] == 77
    assert described["BatchBody"]["properties"]["searches"]["maxItems"] == 5
    assert BOUND not in str(found) + str(document())
    assert (
        document()["components"]["schemas"]["BatchBody"]["properties"]["searches"]["maxItems"] == 64
    )


@pytest.mark.parametrize("path", [f"{API}/images", f"{API}/images/{{image_id}}/similar"])
def test_fields_of_an_address_are_never_null(path):
    """An address cannot say null, so the document does not offer it."""
    parameters = document()["paths"][path]["get"]["parameters"]
    assert {p["name"] for p in parameters} >= {"limit", "offset", "filter"}
    assert "null" not in str(parameters)


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/livez", "get", {"200"}),
        ("/readyz", "get", {"200", "503"}),
        ("/metrics", "get", {"200", "401"}),
        (f"{API}/collection", "get", {"200", "401", "429", "503"}),
        (f"{API}/images", "get", {"200", "401", "422", "429", "503"}),
        (f"{API}/images/{{image_id}}/file", "get", {"200", "401", "404", "416", "503"}),
        (
            f"{API}/search",
            "post",
            {"200", "400", "401", "404", "408", "413", "415", "422", "429", "503"},
        ),
    ],
)
def test_statuses_of_a_route(path, method, statuses):
    """Each route names the errors that it may answer with."""
    assert set(document()["paths"][path][method]["responses"]) == statuses
