"""The words that providers put into an error's type, code or status: the only ones that may stand in a reason.

Refuses: any other word, however plain it looks: a key or a password may be made of letters alone, and what a proxy echoes
nobody knows. Sources: the providers' error documentation, google.rpc.Code, RFC 6749 and RFC 6750, captures.
"""

from __future__ import annotations

_ANTHROPIC = """
    api_error authentication_error billing_error invalid_request_error not_found_error overloaded_error permission_error
    rate_limit_error request_too_large timeout_error
"""
_OPENAI = """
    access_terminated account_deactivated billing_hard_limit_reached billing_not_active content_filter
    content_policy_violation context_length_exceeded engine_overloaded engine_overloaded_error input_tokens
    insufficient_permissions insufficient_quota internal_error invalid_api_key invalid_model invalid_prompt invalid_type
    invalid_value missing_required_parameter model_not_found rate_limit_exceeded requests server_error
    server_is_overloaded service_unavailable_error slow_down string_above_max_length tokens unknown_parameter
    unsupported_country_region_territory unsupported_parameter unsupported_value usage_limit_reached usage_not_included
"""
_AZURE = """
    bad_request deployment_not_found forbidden internal_server_error no_capacity not_found operation_not_supported
    rate_limit_reached responsible_ai_policy_violation service_unavailable too_many_requests unauthorized
"""
_GOOGLE = """
    ABORTED ALREADY_EXISTS CANCELLED DATA_LOSS DEADLINE_EXCEEDED FAILED_PRECONDITION INTERNAL INVALID_ARGUMENT NOT_FOUND
    OUT_OF_RANGE PERMISSION_DENIED RESOURCE_EXHAUSTED UNAUTHENTICATED UNAVAILABLE UNIMPLEMENTED UNKNOWN
"""
_GROQ = "json_validate_failed model_decommissioned model_not_active model_terms_required tool_use_failed"
_MISTRAL = "invalid_request_message rate_limited service_tier_capacity_exceeded"
_GITHUB = """
    agent_mode_limit_exceeded free_quota_exceeded integration_rate_limited model_capacity_limited model_not_supported
    model_overloaded model_rate_limited quota_exceeded unknown_model upstream_provider_rate_limit user_by_day
    user_by_minute user_by_model_by_day user_by_model_by_minute user_concurrent_requests user_daily_rate_limited
    user_global_rate_limited user_hourly_rate_limited user_model_rate_limited user_monthly_rate_limited user_rate_limited
    user_weekly_rate_limited
"""
_COMMON = """
    access_denied bad_gateway expired_token gateway_timeout insufficient_scope invalid_client invalid_grant
    invalid_request invalid_token overloaded payment_required rate_limit temporarily_unavailable timeout
    unauthorized_client unsupported_grant_type upstream_error
"""


def _folded(text: str) -> str:
    return text.casefold().replace("_", "")


_KNOWN = frozenset(
    _folded(word)
    for words in (_ANTHROPIC, _OPENAI, _AZURE, _GOOGLE, _GROQ, _MISTRAL, _GITHUB, _COMMON)
    for word in words.split()
)


def known_word(text: str) -> str:
    """The text when it is one of the words, whatever its case and its underscores, as it came; else an empty one.

    >>> known_word("rate_limit_error"), known_word("RateLimitReached"), known_word("hunter")
    ('rate_limit_error', 'RateLimitReached', '')
    """
    return text if _folded(text) in _KNOWN else ""
