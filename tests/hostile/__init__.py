"""What an attacker sends: thousands of requests that must each be refused in form, and a service alive afterwards."""
